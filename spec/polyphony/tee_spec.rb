# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "IO.tee", :polyphony do
  it "copies what a pipe holds, and leaves it there" do
    source_reader, source_writer = IO.pipe
    reader, writer = IO.pipe
    source_writer << "abcdef"
    expect(IO.tee(source_reader, writer, 4)).to eq(4)
    expect(reader.readpartial(10)).to eq("abcd")
    expect(source_reader.readpartial(10)).to eq("abcdef")
  end

  it "waits for the source" do
    source_reader, source_writer = IO.pipe
    reader, writer = IO.pipe
    copying = spin { IO.tee(source_reader, writer, 100) }
    snooze
    source_writer << "late"
    expect(copying.await).to eq(4)
    expect(reader.readpartial(10)).to eq("late")
  end

  it "waits until the destination has room" do
    source_reader, source_writer = IO.pipe
    reader, writer = IO.pipe
    writer.write_nonblock("x" * 1_000_000)
    source_writer << "behind"
    copying = spin { IO.tee(source_reader, writer, 100) }
    snooze
    expect(copying).not_to be_done
    reader.readpartial(100_000)
    expect(copying.await).to eq(6)
  end

  it "returns 0 at EOF" do
    source_reader, source_writer = IO.pipe
    source_writer.close
    _reader, writer = IO.pipe
    expect(IO.tee(source_reader, writer, 10)).to eq(0)
  end

  it "copies what Ruby has read ahead, and leaves that there as well" do
    source_reader, source_writer = IO.pipe
    source_writer << "line\nread ahead"
    source_reader.gets
    source_writer << ", behind"
    reader, writer = IO.pipe
    expect(IO.tee(source_reader, writer, 4)).to eq(4)
    expect(reader.readpartial(100)).to eq("read")
    source_writer.close
    expect(source_reader.read).to eq("read ahead, behind")
  end

  it "takes Polyphony's pipes, and is there from the destination's side" do
    source = Polyphony.pipe
    source << "abc"
    reader, writer = IO.pipe
    expect(writer.tee_from(source, 10)).to eq(3)
    expect(reader.readpartial(10)).to eq("abc")
    source.close
    expect(source.read).to eq("abc")
  end

  it "raises where an end is no pipe, or the length is none" do
    reader, writer = IO.pipe
    expect { IO.tee(temporary_file("abc"), writer, 3) }.to raise_error(Errno::EINVAL)
    expect { IO.tee(reader, temporary_file, 3) }.to raise_error(Errno::EINVAL)
    [0, -1].each { |len| expect { IO.tee(reader, writer, len) }.to raise_error(ArgumentError) }
    expect { IO.tee(reader, writer, nil) }.to raise_error(TypeError)
    expect { IO.tee(reader, "text", 1) }.to raise_error(TypeError)
  end

  it "raises EPIPE when nobody reads the destination" do
    source_reader, source_writer = IO.pipe
    source_writer << "abc"
    reader, writer = IO.pipe
    reader.close
    expect { IO.tee(source_reader, writer, 3) }.to raise_error(Errno::EPIPE)
    expect(source_reader.readpartial(10)).to eq("abc")
  end

  it "ends when it is interrupted" do
    source_reader, source_writer = IO.pipe
    _reader, writer = IO.pipe
    expect { interrupt_after(0.01) { IO.tee(source_reader, writer, 1) } }
      .to raise_error(SpecSupport::InPolyphony::Interrupted)
    source_writer << "late"
    expect(source_reader.readpartial(10)).to eq("late")
  end
end
