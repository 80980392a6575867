# frozen_string_literal: true

require "openssl"

module SpecSupport
  # Who TLS servers on this machine are: for specs, and for programs that run without RSpec.
  module Certificate
    KEY = OpenSSL::PKey::EC.generate("prime256v1")
    CERTIFICATE = OpenSSL::X509::Certificate.new.tap do |certificate|
      certificate.version = 2
      certificate.serial = 1
      certificate.subject = certificate.issuer = OpenSSL::X509::Name.parse("/CN=localhost")
      certificate.public_key = KEY
      certificate.not_before = Time.now - 60
      certificate.not_after = Time.now + 86_400
      certificate.sign(KEY, "SHA256")
    end
  end
end
