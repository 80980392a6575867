//! Hooks for reading, writing, closing and waiting for readiness.

use std::ffi::CStr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use polyphony_core::op::{OpKey, Read, Recv, Send, Write};
use polyphony_core::sys;
use rb_sys::VALUE;

use super::{Scheduler, machine, operations};
use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::machine::{CURRENT_POSITION, Machine, OnInterrupt, Waited, op_len};
use crate::ruby::buffer::{self, HookBuffer, lend_to_hook};
use crate::ruby::method::{Args, define, define_singleton, method};
use crate::ruby::{FALSE, NIL, TRUE, frames, io, nogvl, read_buffer, thread, value, write_buffer};

/// Where bytes go: into the buffer, or out of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// Where the numbers stand behind the IO and the buffer. The one place that knows this order: it is
/// that of Ruby 3.3 to 4.0 until `hook_order.rb` has found another one while the library is loaded.
pub(crate) struct Order {
    /// Of all arguments.
    count: usize,
    length: AtomicUsize,
    offset: AtomicUsize,
    /// 0 in hooks without a position.
    from: AtomicUsize,
}

/// `io_read` and `io_write`.
static AT_POSITION: Order = Order::new(4, 2, 3, 0);
/// `io_pread` and `io_pwrite`.
static POSITIONED: Order = Order::new(5, 3, 4, 2);

impl Order {
    pub(crate) const fn new(count: usize, length: usize, offset: usize, from: usize) -> Self {
        let [length, offset, from] =
            [AtomicUsize::new(length), AtomicUsize::new(offset), AtomicUsize::new(from)];
        Self { count, length, offset, from }
    }

    fn length(&self, args: Args) -> VALUE {
        args.get(self.length.load(Ordering::Relaxed))
    }

    fn offset(&self, args: Args) -> VALUE {
        args.get(self.offset.load(Ordering::Relaxed))
    }

    fn from(&self, args: Args) -> Option<VALUE> {
        Some(self.from.load(Ordering::Relaxed)).filter(|at| *at > 0).map(|at| args.get(at))
    }

    /// Takes over an Array of names in the order of the arguments.
    fn learn(&self, names: VALUE) -> Outcome<()> {
        let position = |wanted: &CStr| {
            let wanted = value::symbol(wanted);
            (0..value::array_len(names)).position(|at| value::at(names, at) == wanted)
        };
        let found = (position(c"length"), position(c"offset"), position(c"from"));
        let (Some(length), Some(offset)) = (found.0, found.1) else {
            return Err(Raise::argument_error("an order has :length and :offset"));
        };
        self.length.store(length, Ordering::Relaxed);
        self.offset.store(offset, Ordering::Relaxed);
        self.from.store(found.2.unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }
}

/// `FiberScheduler.learn_order(at_position, positioned)`: the names of the arguments in their order.
fn learn_order(_class: VALUE, at_position: VALUE, positioned: VALUE) -> Outcome {
    for (order, names) in [(&AT_POSITION, at_position), (&POSITIONED, positioned)] {
        if !value::is_array(names) || value::array_len(names) != order.count {
            return Err(Raise::argument_error("an order names all arguments"));
        }
        order.learn(names)?;
    }
    Ok(NIL)
}

/// What Ruby passes to the four read and write hooks.
pub(crate) struct Request {
    io: VALUE,
    buffer: VALUE,
    /// Where in the buffer.
    offset: usize,
    /// Least bytes to move; 0: whatever one attempt brings.
    minimum: usize,
    /// Position in the file.
    from: u64,
}

impl Request {
    pub(crate) fn parse(args: Args, order: &Order) -> Outcome<Self> {
        let args = args.expect(order.count - 1, order.count)?;
        let from = match order.from(args) {
            Some(from) => size(from, "from")? as u64,
            None => CURRENT_POSITION,
        };
        let io = io::convert(args.get(0))?;
        io::descriptor_or_unwind(io);
        Ok(Self {
            io,
            buffer: args.get(1),
            offset: size(order.offset(args), "offset")?,
            minimum: size(order.length(args), "length")?,
            from,
        })
    }

    /// The descriptor, until the fiber waits: another one may close the IO meanwhile.
    fn fd(&self) -> Outcome<RawFd> {
        io::descriptor(self.io)
            .map_err(|raise| if io::is_closed(self.io) { Raise::io_closed() } else { raise })
    }

    /// The file position after `done` bytes.
    fn position(&self, done: usize) -> u64 {
        if self.from == CURRENT_POSITION { CURRENT_POSITION } else { self.from + done as u64 }
    }

    fn deadline(&self) -> Outcome<Option<u64>> {
        Ok(io::timeout_or_unwind(self.io)?.map(clock::after))
    }
}

fn size(argument: VALUE, what: &str) -> Outcome<usize> {
    if argument == NIL {
        return Ok(0);
    }
    let number = value::fixnum(argument)
        .ok_or_else(|| Raise::type_error(format!("{what} must be an Integer")))?;
    usize::try_from(number).map_err(|_| Raise::argument_error(format!("{what} is negative")))
}

/// A result as hooks give it: a count, or a negated errno.
fn count(bytes: usize) -> Outcome {
    Ok(value::integer(i64::try_from(bytes).unwrap_or(i64::MAX)))
}

fn failure(io: VALUE, result: i32, done: usize) -> Outcome {
    if result == -libc::EBADF {
        match io::failure(io, libc::EBADF) {
            Raise::Errno(_) => {}
            closed => return Err(closed),
        }
    }
    // What was moved before counts; the error comes up again at the next attempt.
    if done > 0 { count(done) } else { Ok(value::integer(i64::from(result))) }
}

impl Machine {
    /// Waits for a hook's op, by the IO's own timeout.
    fn wait_for_hook(
        &self,
        key: OpKey,
        deadline: Option<u64>,
    ) -> Outcome<Result<i32, (Raise, Option<i32>)>> {
        if let Some(deadline) = deadline {
            self.state().borrow_mut().driver.set_deadline(key, deadline);
        }
        Ok(match self.wait_for(key, OnInterrupt::AwaitCancel) {
            Waited::Done(result) => Ok(result),
            Waited::TimedOut => {
                let late = self.stop(key, OnInterrupt::AwaitCancel);
                Err((Raise::io_timeout(), late))
            }
            Waited::Interrupted(interruption, late) => match interruption.conclude() {
                // Scheduled with a plain value: the read goes on as if nothing had come.
                Ok(_) => Ok(late.filter(|late| *late != -libc::ECANCELED).unwrap_or(-libc::EINTR)),
                Err(raise) => Err((raise, late)),
            },
        })
    }
}

/// Bytes that arrived although the read was cancelled go back into the IO's own buffer, for the
/// next read to find.
fn give_back(request: &Request, piece: &HookBuffer, late: Option<i32>) {
    let Some(len @ 1..) = late.and_then(|late| usize::try_from(late).ok()) else { return };
    // A positioned read took nothing away.
    if request.from != CURRENT_POSITION {
        return;
    }
    // SAFETY: the kernel wrote `len` bytes there, and the op is over.
    let bytes = value::string(unsafe { std::slice::from_raw_parts(piece.ptr, len) });
    std::hint::black_box(piece.loan.value);
    io::give_back(request.io, bytes);
}

/// A read that must not wait: core passes those on as well (`read_nonblock`).
fn read_now(machine: &Machine, request: &Request) -> Outcome<Option<VALUE>> {
    let fd = request.fd()?;
    let piece = lend_to_hook(request.buffer, request.offset, true)?;
    // SAFETY: the buffer has that many bytes.
    let read = unsafe { sys::read_now(fd, piece.ptr, piece.len) };
    piece.loan.release();
    machine.count_op();
    match read {
        Ok(read) => {
            piece.finish(read)?;
            count(read).map(Some)
        }
        // A file that can't tell doesn't wait for anybody but its disk.
        Err(libc::EOPNOTSUPP) => Ok(None),
        Err(errno) => failure(request.io, -errno, 0).map(Some),
    }
}

/// Moves bytes by the ring until there are enough, behind those that were moved before.
fn transfer(machine: &Machine, request: &Request, way: Way, done: usize) -> Outcome {
    transfer_or(machine, request, way, done, |_| {})
}

/// The same. `broken_off` is told how many bytes were moved in all when an exception comes instead
/// of an answer.
fn transfer_or(
    machine: &Machine,
    request: &Request,
    way: Way,
    mut done: usize,
    broken_off: impl Fn(usize),
) -> Outcome {
    let deadline = if machine.is_hosted() { None } else { request.deadline()? };
    let is_socket = io::is_socket(request.io);
    loop {
        let fd = request.fd()?;
        let piece = lend_to_hook(request.buffer, request.offset + done, way == Way::In)?;
        if piece.len == 0 {
            piece.loan.release();
            return count(done);
        }
        let (ptr, len, offset) = (piece.ptr, op_len(piece.len), request.position(done));
        // SAFETY: the loan keeps the buffer, and core keeps what it is made around.
        let key = unsafe {
            match (way, is_socket) {
                (Way::In, true) => {
                    machine.submit_anyway(Recv { fd, ptr, len, flags: 0 }, piece.loan)
                }
                (Way::In, false) => {
                    machine.submit_anyway(Read { fd, ptr, len, offset }, piece.loan)
                }
                (Way::Out, true) => {
                    machine.submit_anyway(Send { fd, ptr, len, flags: 0 }, piece.loan)
                }
                (Way::Out, false) => {
                    machine.submit_anyway(Write { fd, ptr, len, offset }, piece.loan)
                }
            }
        }?;
        match (way, machine.wait_for_hook(key, deadline)?) {
            (Way::In, Ok(0)) => return count(done),
            (_, Ok(result @ 0..)) => {
                let moved = usize::try_from(result).unwrap_or(0);
                if way == Way::In {
                    // Core would look into the IO's buffer, which it has freed.
                    if io::is_closed(request.io) {
                        return Err(Raise::io_closed());
                    }
                    piece.finish(moved)?;
                }
                done += moved;
                if done >= request.minimum {
                    return count(done);
                }
            }
            (_, Ok(result)) if result == -libc::EAGAIN || result == -libc::EINTR => {
                let events = if way == Way::In { libc::POLLIN } else { libc::POLLOUT };
                wait_for(machine, request.io, (fd, events), deadline)
                    .inspect_err(|_| broken_off(done))?;
            }
            (_, Ok(result)) => return failure(request.io, result, done),
            (Way::In, Err((raise, late))) => {
                give_back(request, &piece, late);
                return Err(raise);
            }
            (Way::Out, Err((raise, late))) => {
                let late = late.and_then(|late| usize::try_from(late).ok());
                broken_off(done + late.unwrap_or(0));
                return Err(raise);
            }
        }
    }
}

pub(crate) fn read(machine: &Machine, request: &Request) -> Outcome {
    // Sockets have a read_nonblock of their own, which asks no hook.
    if request.minimum == 0 && !io::is_socket(request.io) && frames::called_by_read_nonblock() {
        if let Some(result) = read_now(machine, request)? {
            return Ok(result);
        }
    }
    transfer(machine, request, Way::In, 0)
}

/// Whether to try a write that needs no switch before the ring: in a fiber that `Fiber.schedule`
/// has just started, so that it gets as far as it can before its first wait, and on standard
/// output and error, so that the lines of one fiber stay together. Everywhere else the writes of
/// many fibers go to the kernel in one enter, which costs less. Regular files always go through
/// the ring: their writes may have to wait for the disk, and nobody can tell beforehand.
fn may_write_directly(machine: &Machine, request: &Request, fd: RawFd) -> bool {
    request.from == CURRENT_POSITION
        && (fd <= libc::STDERR_FILENO || machine.in_first_slice())
        && !io::is_file(request.io)
}

/// Writes as many bytes as go without a switch.
fn write_directly(machine: &Machine, request: &Request, fd: RawFd) -> Outcome<usize> {
    let mut done = 0;
    // A fiber that never has to wait would keep the others from running.
    while machine.may_go_on() {
        let piece = lend_to_hook(request.buffer, request.offset + done, false)?;
        if piece.len == 0 {
            piece.loan.release();
            break;
        }
        // SAFETY: the buffer has that many bytes.
        let written = unsafe { sys::write_if_ready(fd, piece.ptr, piece.len) };
        piece.loan.release();
        // It would have to wait, or something is wrong: the ring tells.
        let Ok(written) = written else { break };
        machine.count_op();
        done += written;
        if done >= request.minimum {
            break;
        }
    }
    Ok(done)
}

/// As [`read`], at a position.
pub(crate) fn pread(machine: &Machine, request: &Request) -> Outcome {
    if !sys::is_seekable(request.fd()?) {
        return failure(request.io, -libc::ESPIPE, 0);
    }
    read(machine, request)
}

pub(crate) fn write(machine: &Machine, request: &Request) -> Outcome {
    let fd = request.fd()?;
    let direct = may_write_directly(machine, request, fd);
    let done = if direct { write_directly(machine, request, fd)? } else { 0 };
    if done > 0 && done >= request.minimum {
        return count(done);
    }
    if !is_moved_by_core(request) {
        return transfer(machine, request, Way::Out, done);
    }
    let memory = buffer::peek(request.buffer).0.wrapping_add(request.offset);
    let io = request.io;
    let request = Request { buffer: buffer::copy_of(request.buffer)?, ..*request };
    let written = transfer_or(machine, &request, Way::Out, done, |written| {
        write_buffer::take_out(io, memory, written);
    });
    std::hint::black_box(request.buffer);
    written
}

/// Most bytes that an IO of core's keeps back, and more.
const WRITE_BUFFER: usize = 64 * 1024;

/// Whether the bytes may be an IO's own buffer: core moves them when another fiber writes to the IO
/// meanwhile.
fn is_moved_by_core(request: &Request) -> bool {
    request.from == CURRENT_POSITION
        && !io::is_sync(request.io)
        && (1..=WRITE_BUFFER).contains(&buffer::peek(request.buffer).1)
}

/// As [`write`], at a position.
pub(crate) fn pwrite(machine: &Machine, request: &Request) -> Outcome {
    if !sys::is_seekable(request.fd()?) {
        return failure(request.io, -libc::ESPIPE, 0);
    }
    write(machine, request)
}

fn io_read(this: VALUE, args: Args) -> Outcome {
    read(machine(this)?, &Request::parse(args, &AT_POSITION)?)
}

fn io_pread(this: VALUE, args: Args) -> Outcome {
    pread(machine(this)?, &Request::parse(args, &POSITIONED)?)
}

/// On standard output and error all of it is written, as a call that blocks would: core comes back
/// for a rest, and another fiber's line could get in between.
fn io_write(this: VALUE, args: Args) -> Outcome {
    let mut request = Request::parse(args, &AT_POSITION)?;
    if request.fd()? <= libc::STDERR_FILENO {
        request.minimum = usize::MAX;
    }
    write(machine(this)?, &request)
}

/// Ruby 3.3 and 3.4 call this hook from within `IO#pwrite`'s blocking region, without the GVL:
/// nothing of Ruby may be touched then, and no fiber switched. The write is made on the spot;
/// other threads run meanwhile.
fn io_pwrite(this: VALUE, args: Args) -> Outcome {
    if !thread::has_gvl() {
        return Ok(pwrite_without_gvl(args));
    }
    pwrite(machine(this)?, &Request::parse(args, &POSITIONED)?)
}

/// Arguments as core made them: an open IO, a buffer around memory that core keeps, and small
/// Integers.
fn pwrite_without_gvl(args: Args) -> VALUE {
    let from = POSITIONED.from(args).and_then(value::fixnum).unwrap_or(0);
    let buffer = args.get(1);
    let bytes = buffer::peek(buffer);
    let fd = io::descriptor_or_unwind(args.get(0));
    // SAFETY: core keeps the memory until the hook returns.
    let written = unsafe { libc::pwrite(fd, bytes.0.cast(), bytes.1, from) };
    let result = i64::try_from(written).unwrap_or(-1);
    value::from_fixnum(if result < 0 { -i64::from(sys::errno()) } else { result })
}

/// `io_wait(io, events, timeout)`: the events that are there, false past the timeout. Ruby's
/// event bits are those of poll(2).
fn io_wait(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(2, 3)?;
    let beside = Scheduler::of(this)?.is_of_other_thread()?;
    let machine = if beside { None } else { Some(machine(this)?) };
    let io = io::convert(args.get(0))?;
    let fd = io::descriptor_or_unwind(io);
    let events = events(args.get(1))?;
    let wanted = i32::from(events);
    let timeout = match args.get(2) {
        NIL => io::timeout_or_unwind(io)?,
        given => value::seconds(given)?,
    };
    let Some(machine) = machine else { return wait_beside(fd, events, timeout) };
    if timeout == Some(0.0) {
        let mut fds = [libc::pollfd { fd, events, revents: 0 }];
        polyphony_core::net::poll_now(&mut fds)?;
        machine.count_op();
        return Ok(ready_events(i32::from(fds[0].revents), wanted));
    }
    let ready = wait_for(machine, io, (fd, events), timeout.map(clock::after))?;
    Ok(ready_events(ready, wanted))
}

/// Waits for events on an IO's descriptor: those that came, 0 past the deadline. An IOError where
/// it is closed meanwhile, also if they had come by then: an SSLSocket goes on with the number that
/// it has had since it was made.
fn wait_for(
    machine: &Machine,
    io: VALUE,
    (fd, events): (RawFd, i16),
    deadline: Option<u64>,
) -> Outcome<i32> {
    let ready = machine.wait_for_events(fd, events, deadline).map_err(|raise| match raise {
        Raise::Errno(libc::EBADF) => io::failure(io, libc::EBADF),
        raise => raise,
    })?;
    if io::is_closed(io) { Err(Raise::io_closed()) } else { Ok(ready) }
}

/// The wait of a thread that carries out an operation of a fiber's: `IO.copy_stream` asks the
/// fiber's scheduler from there. The thread waits, and leaves the operation by an exception where
/// that was broken off.
fn wait_beside(fd: RawFd, events: i16, timeout: Option<f64>) -> Outcome {
    let deadline = timeout.map(clock::after);
    loop {
        if operations::is_broken_off() {
            return Err(Raise::Errno(libc::EINTR));
        }
        let left = deadline.map(|at| at.saturating_sub(clock::now()).div_ceil(1_000_000));
        let milliseconds = left.map_or(-1, |left| i32::try_from(left).unwrap_or(i32::MAX));
        match nogvl::poll(fd, events, milliseconds)? {
            Ok(0) if left.is_some_and(|left| left <= i32::MAX as u64) => return Ok(FALSE),
            Ok(0) | Err(libc::EINTR) => {}
            Ok(ready) => return Ok(ready_events(i32::from(ready), i32::from(events))),
            Err(errno) => return Err(Raise::Errno(errno)),
        }
    }
}

/// `IO::READABLE` and its like.
pub(crate) fn events(argument: VALUE) -> Outcome<i16> {
    i16::try_from(value::int32(argument, "events")?)
        .map_err(|_| Raise::argument_error("events must be READABLE, PRIORITY or WRITABLE"))
}

/// The subset of `wanted` that is ready. A descriptor in error is ready for anything: the next
/// operation on it tells.
pub(crate) fn ready_events(ready: i32, wanted: i32) -> VALUE {
    match ready & wanted {
        0 if ready == 0 => FALSE,
        0 => value::integer(i64::from(wanted)),
        events => value::integer(i64::from(events)),
    }
}

/// `io_close(fd)`: closed in fact when it returns.
fn io_close(this: VALUE, fd: VALUE) -> Outcome {
    machine(this)?.close(value::int32(fd, "fd")?)?;
    Ok(TRUE)
}

pub(super) fn init(class: VALUE) {
    read_buffer::init();
    write_buffer::init();
    define_singleton(class, c"learn_order", method!(learn_order, 2));
    define(class, c"io_read", method!(io_read, -1));
    define(class, c"io_pread", method!(io_pread, -1));
    define(class, c"io_write", method!(io_write, -1));
    define(class, c"io_pwrite", method!(io_pwrite, -1));
    define(class, c"io_wait", method!(io_wait, -1));
    define(class, c"io_close", method!(io_close, 1));
}
