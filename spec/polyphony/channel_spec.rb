# frozen_string_literal: true

require_relative "../support/parked"

RSpec.describe Polyphony::Channel, :polyphony do
  include SpecSupport::Parked

  let(:channel) { described_class.new }

  it "is a queue" do
    fiber = parked { channel.receive }.first
    channel << :item
    expect([fiber.await, channel]).to match([:item, be_a(Polyphony::Queue)])
  end

  it "moves those on who wait when it is closed" do
    log = []
    fibers = parked(2) do
      channel.receive
      log << :received
    ensure
      log << :ended
    end
    expect(channel.close).to be(channel)
    expect([Fiber.await(fibers), log]).to eq([[nil, nil], %i[ended ended]])
  end

  it "takes and gives nothing afterwards" do
    channel.close
    expect { channel << 1 }.to raise_error(ClosedQueueError)
    expect { channel.receive }.to raise_error(ClosedQueueError)
  end
end
