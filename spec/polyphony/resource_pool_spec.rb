# frozen_string_literal: true

require_relative "../support/parked"

RSpec.describe Polyphony::ResourcePool, :polyphony do
  include SpecSupport::Parked

  let(:log) { [] }
  let(:resources) { [+"a", +"b"] }

  def pool(limit) = described_class.new(limit:) { resources.shift }

  # Fibers that have a resource for one turn each.
  def users(count, pool)
    Array.new(count) do
      spin do
        pool.acquire do |resource|
          log << resource
          yield resource if block_given?
          snooze
        end
      end
    end
  end

  it "makes what is asked for, up to its limit, and gives it out in turns" do
    pool = pool(2)
    expect([pool.limit, pool.size, pool.available]).to eq([2, 0, 0])
    Fiber.await(users(4, pool))
    expect([log, pool.size, pool.available]).to eq([%w[a b a b], 2, 2])
  end

  it "makes no more than are needed at a time" do
    pool = pool(2)
    3.times { users(1, pool).first.await }
    expect([log, pool.size]).to eq([%w[a a a], 1])
  end

  it "is filled at once if that is asked for" do
    pool = pool(2)
    expect([pool.fill!, pool.size, pool.available]).to eq([pool, 2, 2])
  end

  it "gives a fiber the same again that it has, nil as well" do
    pool = described_class.new(limit: 1) { nil }
    expect(pool.acquire { |one| pool.acquire { |other| [one, other, pool.available] } }).to eq([nil, nil, 0])
    expect(pool.available).to eq(1)
  end

  it "gives the value of the block" do
    expect(pool(1).acquire { |resource| "#{resource}!" }).to eq("a!")
  end

  it "gets a resource back when the block is left in any way" do
    pool = pool(1)
    pool.acquire { break }
    expect { pool.acquire { raise "failed" } }.to raise_error("failed")
    fiber = parked { pool.acquire { Polyphony.pause(nil) } }.first
    terminate(fiber)
    fiber.await
    expect([pool.size, pool.available]).to eq([1, 1])
  end

  it "serves those in line after one of them was interrupted" do
    pool = pool(1)
    holder = parked { pool.acquire { Polyphony.pause(nil) } }.first
    first, second = parked(2) { |number| pool.acquire { number } }
    interrupt(first)
    terminate(holder)
    expect([holder.await, first.await, soon { second.await }]).to match([nil, be_a(StandardError), 1])
  end

  describe "discard!" do
    it "takes the fiber's resource out" do
      pool = pool(2)
      Fiber.await(users(4, pool) { |resource| pool.discard! if resource == "b" })
      expect([log, pool.size, pool.available]).to eq([%w[a b a a], 1, 1])
    end

    it "of the last one lets those in line make another" do
      pool = pool(1)
      Fiber.await(users(3, pool) { |resource| pool.discard! if resource == "a" })
      expect([log, pool.size, pool.available]).to eq([%w[a b b], 1, 1])
    end

    it "does nothing outside" do
      pool = pool(1)
      pool.discard!
      pool.acquire { 2.times { pool.discard! } }
      expect([pool.size, pool.available]).to eq([0, 0])
    end
  end

  describe "that can't make one" do
    it "says why to each that asks" do
      pool = described_class.new(limit: 4) { raise "refused" }
      expect { pool.acquire { nil } }.to raise_error("refused")
      expect(pool.size).to eq(0)
    end

    it "keeps nobody waiting" do
      pool = described_class.new(limit: 1) do
        snooze
        raise "refused"
      end
      fibers = parked(5) { error_of { pool.acquire { nil } }.message }
      expect(soon { Fiber.await(fibers) }).to eq(["refused"] * 5)
    end

    it "makes one when it can" do
      attempts = 0
      pool = described_class.new(limit: 1) { (attempts += 1) > 2 ? :made : raise("refused") }
      2.times { expect { pool.acquire { nil } }.to raise_error("refused") }
      expect(pool.acquire { |resource| resource }).to eq(:made)
    end
  end

  it "never makes more than its limit, however long that takes" do
    made = 0
    slow = described_class.new(limit: 2) do
      3.times { snooze }
      made += 1
    end
    fibers = parked(10) { slow.acquire { |resource| resource.tap { snooze } } }
    expect([Fiber.await(fibers).uniq.sort, made, slow.size, slow.available]).to eq([[1, 2], 2, 2, 2])
  end

  it "passes on what else it is asked" do
    pool = pool(1)
    expect([pool.upcase, pool.center(3, "-")]).to eq(%w[A -a-])
    expect([pool.respond_to?(:upcase), pool.respond_to?(:nothing_like_it)]).to eq([true, false])
    expect { pool.nothing_like_it }.to raise_error(NoMethodError)
    expect([pool.size, pool.available]).to eq([1, 1])
  end

  it "is shared by threads" do
    pool = pool(2)
    inside = Thread::Queue.new
    crowded = false
    threads = Array.new(4) do
      Thread.new do
        30.times do
          pool.acquire do
            inside << true
            crowded ||= inside.size > 2
            Thread.pass
            inside.pop
          end
        end
      end
    end
    threads.each(&:join)
    expect([crowded, pool.size, pool.available]).to match([false, be <= 2, pool.size])
  end

  it "refuses bad input" do
    expect { described_class.new(limit: 1) }.to raise_error(ArgumentError)
    expect { described_class.new(limit: 0) { nil } }.to raise_error(ArgumentError)
    [nil, "2", 1.5].each { |limit| expect { described_class.new(limit:) { nil } }.to raise_error(TypeError) }
    expect { pool(1).acquire }.to raise_error(ArgumentError)
  end
end
