# frozen_string_literal: true

module DescriptorStress
  # What others do to a connection whose transfer is under way.
  class Trouble
    class Planned < StandardError; end

    def initialize(connection, worker, run)
      @connection = connection
      @plan = connection.plan
      @worker = worker
      @run = run
    end

    # Whether it has done something.
    def act
      wait_for_moment
      case @plan.trouble
      when :close_source then close(@connection.source)
      when :close_destination then close(@connection.destination)
      when :half_close then half_close
      when :cancel then cancel
      end
    end

    private

    def wait_for_moment
      sleep(@plan.millis / 1000) if @plan.moment.even?
      @plan.moment.times { @worker.dead? ? break : snooze }
    end

    def cancel
      case @plan.how
      when :raise then !@worker.dead? && @worker.raise(Planned, "from outside")
      when :terminate then !@worker.dead? && @worker.terminate
      end
      true
    end

    # As a reaper of idle connections does. Whoever comes next gets the number.
    def close(handle)
      return false unless handle

      number = handle.number
      closed = close_by(handle)
      heir = @run.heir
      @run.count(:closed)
      return closed unless heir

      @run.count(:inherited) if heir.numbers.include?(number)
      @run.let_run(heir)
      closed
    end

    def close_by(handle)
      case handle.by_number? ? :fiber : @plan.how
      when :fiber then handle.close
      when :main then @run.in_main_fiber { handle.close }
      when :thread then @run.in_thread { handle.close }
      end
      true
    rescue *Peers::GONE
      # What Ruby held for a peer that is gone.
      true
    end

    def half_close
      handle = @plan.how == :close_read ? @connection.source : @connection.destination
      return false unless handle&.given.is_a?(BasicSocket) && handle.open?

      handle.given.public_send(@plan.how)
      true
    rescue *Peers::GONE
      true
    end
  end
end
