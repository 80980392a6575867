# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "fork" do
  include SpecSupport::Subprocess

  # What the program prints, which must end well and without a word on stderr.
  def output_of(source)
    outcome = ruby_program(<<~RUBY)
      require "uringmachine"
      $stdout.sync = true
      machine = UM.new
      reader, writer = UM.pipe
      #{source}
    RUBY
    expect([outcome.status.exitstatus, outcome.stderr]).to eq([0, ""]), outcome.inspect
    outcome.stdout.lines(chomp: true)
  end

  it "in a spun fiber leaves the parent's reads alone" do
    lines = output_of(<<~RUBY)
      buffer = +""
      reading = machine.spin { machine.read(reader, buffer, 10) }
      machine.snooze
      machine.submit
      status = machine.join(machine.spin { Process.wait2(fork { exit 3 }).last })
      machine.write(writer, "hello")
      p machine.join(reading), buffer, status.exitstatus
    RUBY
    expect(lines).to eq(["5", '"hello"', "3"])
  end

  it "lets the child make a machine of its own" do
    lines = output_of(<<~RUBY)
      machine.spin { machine.sleep(0) }
      machine.snooze
      pid = fork do
        fresh = UM.new
        one, other = UM.pipe
        fiber = fresh.spin { (+"").tap { |buffer| fresh.read(one, buffer, 10) } }
        fresh.write(other, "hello")
        puts fresh.join(fiber)
        puts fresh.timeout(0.001, :late) { fresh.read(one, +"", 10) }
      end
      Process.wait(pid)
      puts $?.exitstatus
    RUBY
    expect(lines).to eq(%w[hello late 0])
  end

  it "gives the child another Thread#machine" do
    lines = output_of(<<~RUBY)
      own = Thread.current.machine
      own.spin { own.read(reader, +"", 10) }
      own.snooze
      own.submit
      pid = fork { p Thread.current.machine.equal?(own), Thread.current.machine.sleep(0.001) }
      Process.wait(pid)
      p Thread.current.machine.equal?(own)
    RUBY
    expect(lines).to eq(%w[false 0.001 true])
  end

  it "makes every use of the parent's machine an error in the child" do
    lines = output_of(<<~RUBY)
      parked = machine.spin { machine.read(reader, +"", 10) }
      machine.snooze
      machine.submit
      calls = [
        -> { machine.sleep(0.001) }, -> { machine.spin { nil } }, -> { machine.snooze }, -> { machine.yield },
        -> { machine.read(reader, +"", 1) }, -> { machine.write(writer, "x") }, -> { machine.close(reader) },
        -> { machine.join(parked) }, -> { machine.schedule(parked, 1) }, -> { machine.terminate(parked) },
        -> { machine.timeout(1, RuntimeError) { nil } }, -> { machine.poll(reader, 1) }, -> { machine.accept(reader) },
        -> { machine.select([reader], [], []) }, -> { machine.open("/", 0) }, -> { machine.submit }
      ]
      pid = fork do
        puts calls.map { |call| call.call && :worked rescue $!.class }.uniq
        machine.metrics
        machine.inspect
        machine.wakeup
        machine = parked = nil
        3.times { GC.start }
      end
      Process.wait(pid)
      machine.write(writer, "hello")
      p $?.exitstatus, machine.join(parked)
    RUBY
    expect(lines).to eq(%w[UringMachine::Error 0 5])
  end

  it "without a block in a spun fiber ends the child with that fiber" do
    lines = output_of(<<~RUBY)
      fiber = machine.spin do
        if (pid = fork)
          Process.wait2(pid).last.exitstatus
        else
          puts "child"
          :child
        end
      end
      p machine.join(fiber)
    RUBY
    expect(lines).to eq(%w[child 0])
  end

  it "without a block keeps the child's exit status" do
    lines = output_of(<<~RUBY)
      fiber = machine.spin { (pid = fork) ? Process.wait2(pid).last.exitstatus : exit(5) }
      p machine.join(fiber)
    RUBY
    expect(lines).to eq(%w[5])
  end

  it "without a block makes the child fail with its fiber's exception" do
    outcome = ruby_program(<<~RUBY)
      require "uringmachine"
      machine = UM.new
      fiber = machine.spin { (pid = fork) ? Process.wait2(pid).last.exitstatus : raise("boo") }
      p machine.join(fiber)
    RUBY
    expect([outcome.stdout, outcome.stderr]).to match(["1\n", /boo/])
  end

  it "doesn't run the parent's other fibers in the child" do
    lines = output_of(<<~RUBY)
      forking = machine.spin do
        pid = fork { (machine.snooze rescue nil) }
        Process.wait(pid)
      end
      others = Array.new(3) { machine.spin { puts "other" } }
      machine.join(forking, *others)
    RUBY
    expect(lines).to eq(%w[other other other])
  end

  it "gives Strings that were lent back to the child" do
    lines = output_of(<<~RUBY)
      own = Thread.current.machine
      buffer = +"before"
      own.spin { own.read(reader, buffer, 10, -1) }
      own.snooze
      own.submit
      pid = fork { Thread.current.machine && puts(buffer << " and after") }
      Process.wait(pid)
    RUBY
    expect(lines).to eq(["before and after"])
  end

  # Ruby starts programs by fork(2) as root, and by vfork(2) else: then the child has its parent's
  # memory, and may not give up anything.
  {
    "as this user" => "",
    "as nobody" => "[Process::GID, Process::UID].each { _1.change_privilege(65_534) } if Process.uid.zero?"
  }.each do |who, first|
    it "and what else starts a program leaves the parent's Strings lent, #{who}" do
      lines = output_of(<<~RUBY)
        #{first}
        buffer = +""
        reading = machine.spin { machine.read(reader, buffer, 10) }
        machine.snooze
        machine.submit
        system("true")
        Process.wait(spawn("true"))
        [`echo one`, IO.popen("echo two", &:read)].each { |text| puts text }
        p((buffer << "x" rescue $!.class))
        machine.write(writer, "hello")
        p machine.join(reading), buffer
      RUBY
      expect(lines).to eq(["one", "two", "RuntimeError", "5", '"hello"'])
    end
  end

  # A fork that Ruby knows nothing of: its child may use Ruby if no other thread is in the way.
  [true, false].each do |with_lock|
    it "by a C library #{with_lock ? "with" : "without"} the VM lock makes the child give up the machine" do
      outcome = ruby_program(<<~RUBY)
        require "fiddle"
        require "uringmachine"
        machine = UM.new
        reader, writer = UM.pipe
        buffer = +"before"
        reading = machine.spin { machine.read(reader, buffer, 10, -1) }
        machine.snooze
        machine.submit
        raw_fork = Fiddle::Function.new(Fiddle.dlopen(nil)["fork"], [], Fiddle::TYPE_INT, need_gvl: #{with_lock})
        if (pid = raw_fork.call).zero?
          error = (machine.sleep(0) rescue $!)
          $stdout.syswrite([error.class, buffer << " and after", UM.new.sleep(0.001)].join(" "))
          exit!(3)
        end
        $stdout.syswrite(" \#{Process.wait2(pid).last.exitstatus} ")
        machine.write(writer, "hello")
        $stdout.syswrite([machine.join(reading), buffer].join(" "))
      RUBY
      skip "this Ruby has no Fiddle" if outcome.stderr.include?("cannot load such file -- fiddle")
      parts = ["UringMachine::Error", "before and after", 0.001, 3, 5, "beforehello"]
      expect(outcome.stdout).to eq(parts.join(" ")), outcome.inspect
    end
  end

  it "leaves no descriptor of the ring in a program that is executed" do
    lines = output_of(<<~RUBY)
      count = 'p Dir.children("/proc/self/fd").count { |fd| File.readlink("/proc/self/fd/" + fd) =~ /io_uring|eventfd:um/ rescue nil }'
      system(RbConfig.ruby, "-e", count)
    RUBY
    expect(lines).to eq(%w[0])
  end

  it "may happen again and again" do
    lines = output_of(<<~RUBY)
      fibers = Array.new(10) do |number|
        machine.spin do
          pid = fork { exit(UM.new.then { |fresh| fresh.join(fresh.spin { fresh.sleep(0.001) && number }) }) }
          machine.sleep(0.001)
          Process.wait2(pid).last.exitstatus
        end
      end
      p machine.join(fibers)
    RUBY
    expect(lines).to eq([(0...10).to_a.inspect])
  end
end
