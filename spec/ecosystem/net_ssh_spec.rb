# frozen_string_literal: true

require "openssl"
require_relative "../support/ecosystem"
require_relative "../support/server_program"

RSpec.describe "Net::SSH, with sshd", packages: %w[ruby-net-ssh], gems: %w[logger base64] do
  before(:context) do
    require "net/ssh"
    @server = start_sshd
  end
  after(:context) { @server&.stop }

  # Lets in whoever has the key, as the user that runs the specs.
  def start_sshd
    FileUtils.mkdir_p("/run/sshd") if Process.uid.zero? # as the system's service does
    SpecSupport::ServerProgram.new do |server|
      %w[host user].each do |name|
        server.prepare("ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", name)
      end
      ["/usr/sbin/sshd", "-D", "-e", "-f", server.file("sshd_config", <<~CONFIGURATION)]
        ListenAddress 127.0.0.1:#{server.port}
        HostKey #{server.path("host")}
        AuthorizedKeysFile #{server.path("user.pub")}
        PidFile none
        StrictModes no
        UsePAM no
        PermitRootLogin yes
        MaxStartups 100
      CONFIGURATION
    end
  end

  def ssh(&)
    Net::SSH.start("127.0.0.1", Etc.getlogin || Etc.getpwuid.name,
                   port: @server.port, keys: [@server.path("user")], keys_only: true,
                   verify_host_key: :never, config: false, &)
  end

  # Writes one line to whoever connects.
  def serve_a_line
    server = TCPServer.new("127.0.0.1", 0)
    thread = Thread.new { server.accept.tap { |peer| peer.puts("forwarded") }.close }
    yield server.local_address.ip_port
  ensure
    thread.join
    server.close
  end

  in_both_ways do
    # Each command waits until the others have left a file as well.
    it "runs five commands at a time" do
      command = 'touch "$0/$1"; until [ "$(ls "$0" | wc -l)" = 5 ]; do sleep 0.01; done; echo "$1 done"'
      # What the shell says first is what the machine's own files have it say.
      running = lambda do |number, folder|
        ssh { |session| session.exec!("sh -c '#{command}' #{folder} #{number}").lines.last.chomp }
      end
      Dir.mktmpdir do |folder|
        outputs = together(Array.new(5) { |number| -> { running.call(number, folder) } })
        expect(outputs).to eq(Array.new(5) { |number| "#{number} done" })
      end
    end

    it "forwards a port for a client in another fiber" do
      serve_a_line do |port|
        forwarding = lambda do
          ssh do |session|
            line = nil
            local = session.forward.local(0, "127.0.0.1", port)
            Fiber.schedule { line = TCPSocket.open("127.0.0.1", local, &:gets) }
            session.loop(0.01) { !line }
            line
          end
        end
        expect(together(forwarding)).to eq(["forwarded\n"])
      end
    end
  end
end
