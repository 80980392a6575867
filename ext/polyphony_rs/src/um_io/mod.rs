//! `UM::IO`: buffered reading on a descriptor or an SSLSocket, and writing.
//!
//! What comes in lies in a stream of the machine's driver, which an op feeds that goes on whether
//! anybody reads or not. So a reader that is interrupted loses nothing. One fiber reads at a time;
//! others wait in line.

mod detach;
mod each;
mod fill;
mod http;
mod read;
mod resp;
mod write;

use std::cell::{Cell, OnceCell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;

use polyphony_core::driver::{Buffers, Inlet};
use polyphony_core::stream::Stream;
use rb_sys::VALUE;

use crate::errors::{Outcome, Raise};
use crate::machine::line::Line;
use crate::machine::{Machine, State};
use crate::ruby::libssl::{Ssl, is_ssl_socket};
use crate::ruby::method::{Args, define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, value};

/// Sources of streams whose `UM::IO` was collected, to be closed on the machine's own thread.
pub(crate) type Orphans = Rc<RefCell<Vec<Inlet>>>;

/// How bytes are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// `read` and `write`.
    Fd,
    /// `recv` and `send`.
    Socket,
    /// `ssl_read` and `ssl_write`.
    Ssl,
}

impl Mode {
    fn of(argument: VALUE, target_is_socket: bool) -> Outcome<Self> {
        let mode = match argument {
            NIL if target_is_socket => Self::Ssl,
            NIL => Self::Fd,
            name if name == value::symbol(c"fd") => Self::Fd,
            name if name == value::symbol(c"socket") => Self::Socket,
            name if name == value::symbol(c"ssl") => Self::Ssl,
            _ => return Err(Raise::argument_error("mode must be :fd, :socket or :ssl")),
        };
        match (mode, target_is_socket) {
            (Self::Ssl, false) => Err(Raise::type_error("mode :ssl needs an SSLSocket")),
            (Self::Fd | Self::Socket, true) => {
                Err(Raise::argument_error("an SSLSocket needs mode :ssl"))
            }
            _ => Ok(mode),
        }
    }

    fn symbol(self) -> VALUE {
        value::symbol(match self {
            Self::Fd => c"fd",
            Self::Socket => c"socket",
            Self::Ssl => c"ssl",
        })
    }
}

pub(crate) struct UmIo {
    machine: VALUE,
    /// The struct in it, which stays as long as the object is marked.
    machine_struct: &'static Machine,
    /// The SSLSocket, nil on a plain descriptor.
    socket: VALUE,
    mode: Mode,
    /// Has a descriptor that doesn't exist where there is an SSLSocket: nothing is read by it.
    inlet: Cell<Inlet>,
    orphans: Orphans,
    /// The fiber that reads, or is about to; nil where none does.
    reader: Cell<VALUE>,
    /// Those that wait for it.
    line: Line,
    /// The request that is being read and answered. Not borrowed across a call into Ruby.
    http: RefCell<http::Exchange>,
    /// Of an IO that RESP was read from.
    reply: OnceCell<Box<resp::Reply>>,
}

static TYPE: DataType<UmIo> = DataType::new();
static CLASS: typed::Class = typed::Class::new();

impl Typed for UmIo {
    const NAME: &'static std::ffi::CStr = c"UringMachine::IO";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        typed::mark(self.machine);
        typed::mark(self.socket);
        typed::mark(self.reader.get());
        self.line.mark();
        self.http.borrow().mark();
        if let Some(reply) = self.reply.get() {
            reply.mark();
        }
    }

    fn on_free(&mut self) {
        self.orphans.borrow_mut().push(self.inlet.get());
    }
}

impl UmIo {
    fn new(machine_object: VALUE, target: VALUE, mode: VALUE) -> Outcome<Self> {
        let machine = Machine::of(machine_object)?;
        let is_number = value::is_integer(target);
        if !is_number && !is_ssl_socket(target) {
            return Err(Raise::type_error(format!(
                "a descriptor or an OpenSSL::SSL::SSLSocket is needed, not {}",
                value::class_name(target)
            )));
        }
        let mode = Mode::of(mode, !is_number)?;
        let (fd, socket) = if is_number {
            (descriptor(target)?, NIL)
        } else {
            Ssl::of(target)?;
            (-1, target)
        };
        let state = &mut *machine.state().borrow_mut();
        let inlet = Inlet::new(&mut state.driver, fd, mode == Mode::Socket);
        Ok(Self {
            machine: machine_object,
            machine_struct: machine,
            socket,
            mode,
            inlet: Cell::new(inlet),
            orphans: Rc::clone(&state.orphans),
            reader: Cell::new(NIL),
            line: Line::default(),
            http: RefCell::default(),
            reply: OnceCell::new(),
        })
    }

    fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized IO"))
    }

    fn machine(&self) -> Outcome<&'static Machine> {
        self.machine_struct.check_usable()?;
        Ok(self.machine_struct)
    }

    /// Does something with the source of the stream.
    fn with_inlet<T>(
        &self,
        machine: &Machine,
        body: impl FnOnce(&mut Inlet, &mut State) -> T,
    ) -> T {
        let mut inlet = self.inlet.get();
        let result = body(&mut inlet, &mut machine.state().borrow_mut());
        self.inlet.set(inlet);
        result
    }

    /// Does something with the stream. It must not call Ruby.
    fn with_stream<T>(
        &self,
        machine: &Machine,
        body: impl FnOnce(&mut Stream, &mut Buffers) -> T,
    ) -> Outcome<T> {
        let state = &mut *machine.state().borrow_mut();
        match state.driver.stream(self.inlet.get().stream()) {
            Some((stream, buffers)) => Ok(body(stream, buffers)),
            None => Err(Raise::um_error("this IO is closed")),
        }
    }
}

/// A descriptor's number: errors for what can't be one.
fn descriptor(target: VALUE) -> Outcome<RawFd> {
    match value::int32(target, "fd")? {
        fd @ 0.. => Ok(fd),
        _ => Err(Raise::Errno(libc::EBADF)),
    }
}

/// `UM::IO.new(machine, target, mode = nil)`
fn initialize(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(2, 3)?;
    if typed::get::<UmIo>(this).is_some() {
        return Err(Raise::um_error("this IO is initialized already"));
    }
    typed::put(this, UmIo::new(args.get(0), args.get(1), args.get(2))?);
    Ok(this)
}

/// `machine.io(target, mode = nil) [{ |io| }]`: with a block its value; the IO is cleared then.
fn machine_io(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(1, 2)?;
    let io = typed::wrap(CLASS.get(), UmIo::new(this, args.get(0), args.get(1))?);
    if !value::block_given() {
        return Ok(io);
    }
    let result = value::yield_to_block(io);
    clear(io)?;
    result
}

fn mode(this: VALUE) -> Outcome {
    Ok(UmIo::of(this)?.mode.symbol())
}

/// Whether the end was reached and nothing is left to be read.
fn is_eof(this: VALUE) -> Outcome {
    query(this, |stream| value::boolean(stream.has_ended() && stream.pending() == 0))
}

fn pending(this: VALUE) -> Outcome {
    query(this, |stream| value::integer(i64::try_from(stream.pending()).unwrap_or(i64::MAX)))
}

fn consumed(this: VALUE) -> Outcome {
    query(this, |stream| value::integer(i64::try_from(stream.consumed()).unwrap_or(i64::MAX)))
}

fn query(this: VALUE, answer: impl FnOnce(&Stream) -> VALUE) -> Outcome {
    let io = UmIo::of(this)?;
    let machine = io.machine()?;
    io.with_inlet(machine, |inlet, State { driver, .. }| {
        // Who waits for the op has to find it.
        if !inlet.is_awaited(driver) {
            inlet.settle(driver);
        }
    });
    io.with_stream(machine, |stream, _| answer(stream))
}

/// Drops what is there, and cancels the op that reads, unless a fiber waits for what it brings.
fn clear(this: VALUE) -> Outcome {
    let io = UmIo::of(this)?;
    let machine = io.machine()?;
    io.with_inlet(machine, |inlet, State { driver, queues, .. }| {
        if !inlet.is_awaited(driver) {
            inlet.stop(driver, queues);
        }
    });
    io.with_stream(machine, Stream::clear)?;
    io.http.take();
    io.drop_reply();
    // What comes from now on is for others. An error would come up at the next wait again.
    let _ = machine.poll();
    Ok(this)
}

/// Defines `UM::IO` and the machine's method.
pub(crate) fn init(machine_class: VALUE) {
    let class = CLASS.define_under(machine_class, c"IO");
    typed::define_allocator::<UmIo>(class);
    define(class, c"initialize", method!(initialize, -1));
    define(class, c"mode", method!(mode, 0));
    define(class, c"eof?", method!(is_eof, 0));
    define(class, c"pending", method!(pending, 0));
    define(class, c"consumed", method!(consumed, 0));
    define(class, c"clear", method!(clear, 0));
    define(machine_class, c"io", method!(machine_io, -1));
    detach::init(class);
    each::init(class);
    http::init(class);
    read::init(class);
    resp::init(class);
    write::init(class);
}
