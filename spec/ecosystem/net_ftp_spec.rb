# frozen_string_literal: true

require "stringio"
require_relative "../support/ecosystem"
require_relative "../support/server_program"

RSpec.describe "Net::FTP, with vsftpd", gems: %w[net-protocol net-ftp] do
  before(:context) do
    require "net/ftp"
    @content = Random.new(3).bytes(1_000_000)
    @server = SpecSupport::ServerProgram.new do |server|
      Dir.mkdir(server.path("empty"))
      Dir.mkdir(server.path("files"))
      server.file("files/big", @content)
      File.chmod(0o755, server.folder)
      File.chmod(0o555, server.path("files"))
      ["/usr/sbin/vsftpd", server.file("vsftpd.conf", <<~CONFIGURATION)]
        listen=YES
        background=NO
        run_as_launching_user=YES
        listen_address=127.0.0.1
        listen_port=#{server.port}
        anonymous_enable=YES
        anon_root=#{server.path("files")}
        secure_chroot_dir=#{server.path("empty")}
        seccomp_sandbox=NO
      CONFIGURATION
    end
  end
  after(:context) { @server&.stop }

  def ftp(&) = Net::FTP.open("127.0.0.1", port: @server.port, username: "anonymous", password: "spec", &)

  in_both_ways do
    it "has ten downloads going at a time" do
      meeting = SpecSupport::Meeting.new(10)
      getting = lambda do
        ftp do |session|
          received = "".b
          session.retrbinary("RETR big", 16_384) do |piece|
            meeting.arrive if received.empty?
            received << piece
          end
          received == @content
        end
      end
      expect(together([getting] * 10)).to eq([true] * 10)
    end

    it "lists, and passes on what is refused" do
      listing = -> { ftp { |session| [session.nlst, session.size("big")] } }
      refused = -> { ftp { |session| error_of { session.gettextfile("missing", File::NULL) }.class } }
      expect(together(listing, refused)).to eq([[["big"], 1_000_000], Net::FTPPermError])
    end
  end
end
