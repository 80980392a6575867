//! TLS on `OpenSSL::SSL::SSLSocket`: `ssl_set_bio`, `ssl_read`, `ssl_write`.
//!
//! No fiber waits inside OpenSSL. A connection takes bytes from memory and puts them into memory,
//! says what it lacks, and the fiber waits for that in the ring. So nothing unwinds OpenSSL's
//! frames, and one fiber may write while another one waits for data.
//!
//! In each direction one fiber at a time moves the connection's bytes: whoever comes meanwhile
//! waits, and looks again.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use polyphony_core::link::Link;
use polyphony_core::op::{Op, Recv, Send};
use rb_sys::VALUE;

use super::files::{length, op_len, optional_length};
use super::line::{Holder, Line, Place, Turned};
use super::{Interruption, Machine, OnInterrupt, Waited};
use crate::errors::{Outcome, Raise};
use crate::ruby::buffer::{self, Loan, Lock, Source};
use crate::ruby::libssl::{Ssl, Step};
use crate::ruby::method::{define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, TRUE, io, value};

/// Most plain bytes of a TLS record.
const RECORD: usize = 16 * 1024;

/// `UringMachine::SSLMethods`: how SSLSockets wait that have a BIO of ours.
static METHODS: AtomicU64 = AtomicU64::new(NIL);

/// Who moves bytes in one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Free,
    Taken(Holder),
    /// By a thread that has died in the middle: the kernel may still be at it.
    Lost,
}

/// One direction of a connection.
struct Direction {
    state: Cell<Use>,
    /// Who waits for it.
    line: Line,
}

impl Direction {
    fn new() -> Self {
        Self { state: Cell::new(Use::Free), line: Line::default() }
    }

    /// Ends its use; all who wait look again.
    fn leave(&self, state: Use) {
        self.state.set(state);
        while self.line.call_next().is_some() {}
    }

    /// Ends its use by a fiber whose thread has ended.
    fn pass_on(&self) {
        let is_lost = |holder: Holder| holder.survives_fork() && holder.is_gone();
        if matches!(self.state.get(), Use::Taken(holder) if is_lost(holder)) {
            self.leave(Use::Lost);
        }
    }

    fn mark(&self) {
        if let Use::Taken(holder) = self.state.get() {
            holder.mark();
        }
        self.line.mark();
    }
}

/// What an SSLSocket gets together with the BIO. Held by the SSLSocket, and by ops in flight.
struct Session {
    link: RefCell<Link>,
    receiving: Direction,
    sending: Direction,
}

static TYPE: DataType<Session> = DataType::new();

impl Typed for Session {
    const NAME: &'static std::ffi::CStr = c"UringMachine::Session";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        self.receiving.mark();
        self.sending.mark();
    }
}

/// See [`Direction::pass_on`].
fn pass_on(session_object: VALUE) {
    if let Some(session) = typed::get::<Session>(session_object) {
        session.receiving.pass_on();
        session.sending.pass_on();
    }
}

/// An SSLSocket with a session, in a call of a machine's method.
pub(crate) struct Connection {
    machine: &'static Machine,
    machine_object: VALUE,
    socket: VALUE,
    ssl: Ssl,
    session: &'static Session,
    session_object: VALUE,
}

impl Connection {
    /// An SSLSocket; one that has no session yet gets one.
    pub(crate) fn open(machine_object: VALUE, socket: VALUE) -> Outcome<Self> {
        let machine = Machine::of(machine_object)?;
        let ssl = Ssl::of(socket)?;
        let session_object = match value::ivar(socket, session_name()) {
            NIL => set_up(machine_object, socket, ssl)?,
            session => session,
        };
        let session = typed::get::<Session>(session_object)
            .ok_or_else(|| Raise::um_error("uninitialized session"))?;
        Ok(Self { machine, machine_object, socket, ssl, session, session_object })
    }

    /// Reads at most `max` bytes into `buffer`: 0 at the end.
    fn read(&self, buffer: VALUE, max: usize) -> Result<usize, Interruption> {
        loop {
            let target = buffer::lend_target(buffer, max, 0)?;
            // SAFETY: the target is that large, and lent until the next line.
            let step = self.call(|ssl| unsafe { ssl.read(target.ptr, max) });
            target.loan.release();
            if let Some(count) = self.after_read(step?)? {
                target.finish(count)?;
                return Ok(count);
            }
        }
    }

    /// Reads what there is, of a record at most; `None` at the end.
    pub(crate) fn read_chunk(&self) -> Result<Option<Vec<u8>>, Interruption> {
        loop {
            // Not kept while the fiber waits.
            let mut chunk = vec![0; RECORD];
            // SAFETY: the chunk is that large.
            let step = self.call(|ssl| unsafe { ssl.read(chunk.as_mut_ptr(), RECORD) })?;
            if let Step::Bytes(count) = step {
                chunk.truncate(count);
                chunk.shrink_to_fit();
            } else {
                chunk = Vec::new();
            }
            if let Some(count) = self.after_read(step)? {
                return Ok((count > 0).then_some(chunk));
            }
        }
    }

    /// What a call has read: 0 at the end. `None`: it has waited, and the call is to be repeated.
    fn after_read(&self, step: Step) -> Result<Option<usize>, Interruption> {
        // Reading answers some of what it reads. A socket that doesn't take it now gets it before
        // the next bytes, and errors are for those who write.
        let _ = self.session.link.borrow_mut().flush();
        match step {
            Step::Bytes(count) => return Ok(Some(count)),
            Step::End => return Ok(Some(0)),
            Step::WantRead => self.receive()?,
            Step::WantWrite => self.send_in_turn()?,
            Step::Failed(reason) => return Err(Raise::um_error(reason).into()),
        }
        Ok(None)
    }

    /// Writes all of what was lent.
    pub(crate) fn write_source(&self, source: &Source) -> Result<usize, Interruption> {
        let (ptr, len) = source.memory();
        if len == 0 { Ok(0) } else { self.write(ptr, len) }
    }

    /// Writes all of it, undivided by what other fibers write.
    fn write(&self, ptr: *const u8, len: usize) -> Result<usize, Interruption> {
        while !self.may_use(&self.session.sending)? {}
        self.use_while(&self.session.sending, || {
            let mut done = 0;
            while done < len {
                // Before, as calls that were interrupted leave bytes behind: OpenSSL must find
                // room for a record, or it insists on having the same bytes again.
                if self.session.link.borrow().is_worth_sending() {
                    self.send()?;
                }
                let count = (len - done).min(RECORD);
                // SAFETY: the caller keeps `len` bytes at `ptr`.
                match self.call(|ssl| unsafe { ssl.write(ptr.add(done), count) })? {
                    Step::Bytes(count) => done += count,
                    Step::End => return Err(Raise::um_error("SSL_write: closed").into()),
                    Step::WantRead => {
                        self.send()?;
                        self.receive()?;
                    }
                    Step::WantWrite => self.send()?,
                    Step::Failed(reason) => {
                        let _ = self.session.link.borrow_mut().flush();
                        return Err(Raise::um_error(reason).into());
                    }
                }
            }
            self.send()?;
            self.session.link.borrow_mut().shrink();
            Ok(len)
        })
    }

    /// The socket's descriptor: IOError when it was closed. To be asked again after every wait, as
    /// the number may belong to another file by then.
    fn descriptor(&self) -> Outcome<RawFd> {
        io::descriptor(value::call(self.socket, c"to_io", &[])?)
    }

    /// Calls OpenSSL, which can't wait and must not be called by what it calls.
    fn call(&self, call: impl FnOnce(Ssl) -> Step) -> Outcome<Step> {
        self.descriptor()?;
        let link = &self.session.link;
        if link.borrow_mut().attend(true) {
            return Err(Raise::um_error("called by a callback of the same SSLSocket"));
        }
        let step = call(self.ssl);
        link.borrow_mut().attend(false);
        Ok(step)
    }

    /// Waits for bytes to read, or for another fiber that does so.
    fn receive(&self) -> Result<(), Interruption> {
        let direction = &self.session.receiving;
        if !self.may_use(direction)? {
            return Ok(());
        }
        self.use_while(direction, || {
            let fd = self.descriptor()?;
            let Some((ptr, len)) = self.session.link.borrow_mut().start_receiving() else {
                return Ok(());
            };
            let op = Recv { fd, ptr, len: op_len(len), flags: 0 };
            let (got, outcome) = self.run(op, direction);
            if direction.state.get() != Use::Lost {
                self.session.link.borrow_mut().received(got);
            }
            outcome
        })
    }

    /// Sends what OpenSSL has written, or waits for another fiber that does so.
    fn send_in_turn(&self) -> Result<(), Interruption> {
        let direction = &self.session.sending;
        if self.may_use(direction)? { self.use_while(direction, || self.send()) } else { Ok(()) }
    }

    /// Sends what OpenSSL has written.
    fn send(&self) -> Result<(), Interruption> {
        loop {
            let fd = self.descriptor()?;
            let Some((ptr, len)) = self.session.link.borrow_mut().start_sending() else {
                return Ok(());
            };
            let op = Send { fd, ptr, len: op_len(len), flags: libc::MSG_WAITALL };
            let (sent, outcome) = self.run(op, &self.session.sending);
            if self.session.sending.state.get() == Use::Lost {
                return outcome;
            }
            let sent = self.session.link.borrow_mut().sent(sent);
            outcome?;
            sent.map_err(|errno| {
                Raise::um_error(format!("SSL_write: {}", polyphony_core::sys::error_text(errno)))
            })?;
        }
    }

    /// Carries out an op on the session's memory: its result (EAGAIN where it has none), and
    /// whether the fiber was interrupted.
    fn run<O: Op>(
        &self,
        op: O,
        direction: &Direction,
    ) -> (Result<usize, i32>, Result<(), Interruption>) {
        let loan = Loan { value: self.session_object, lock: Lock::Held };
        // SAFETY: the memory belongs to the session, which the loan keeps, and is left alone until
        // the link is told that the op is over.
        let key = match unsafe { self.machine.submit_anyway(op, loan) } {
            Ok(key) => key,
            Err(raise) => return (Err(libc::EAGAIN), Err(raise.into())),
        };
        match self.machine.wait_for(key, OnInterrupt::AwaitCancel) {
            Waited::Done(result) => (usize::try_from(result).map_err(|_| -result), Ok(())),
            Waited::TimedOut => (Err(libc::EAGAIN), Ok(())),
            Waited::Interrupted(interruption, late) => {
                if late.is_none() {
                    direction.state.set(Use::Lost);
                }
                let late = late.and_then(|late| usize::try_from(late).ok());
                (late.ok_or(libc::EAGAIN), Err(interruption))
            }
        }
    }

    /// Whether a direction is free. If not, it waits until somebody has left it.
    fn may_use(&self, direction: &Direction) -> Result<bool, Interruption> {
        direction.pass_on();
        match direction.state.get() {
            Use::Free => return Ok(true),
            Use::Lost => {
                let lost = "a thread has died while it used this connection";
                return Err(Raise::um_error(lost).into());
            }
            Use::Taken(holder) if holder.survives_fork() => {}
            Use::Taken(_) => {
                let lost = "a fiber of the parent process was using this connection at the fork";
                return Err(Raise::um_error(lost).into());
            }
        }
        let place = Place { object: self.session_object, pass_on };
        match direction.line.wait(self.machine_object, "tls", place)? {
            Turned::Called(_) | Turned::TimedOut => Ok(false),
            Turned::Interrupted(interruption, _) => Err(interruption),
        }
    }

    /// Takes a direction that is free for as long as `body` runs.
    fn use_while<T>(
        &self,
        direction: &Direction,
        body: impl FnOnce() -> Result<T, Interruption>,
    ) -> Result<T, Interruption> {
        direction.state.set(Use::Taken(Holder::current(self.machine_object)));
        let outcome = body();
        let state = if direction.state.get() == Use::Lost { Use::Lost } else { Use::Free };
        direction.leave(state);
        outcome
    }
}

impl From<Raise> for Interruption {
    fn from(raise: Raise) -> Self {
        Self::Raise(raise)
    }
}

/// No instance variable that Ruby could name.
fn session_name() -> rb_sys::ID {
    value::intern(c"__um_session__")
}

/// Puts a BIO of ours below an SSLSocket's connection. Returns the session, which lives as long as
/// the SSLSocket.
fn set_up(machine: VALUE, socket: VALUE, ssl: Ssl) -> Outcome {
    let fd = io::descriptor(value::call(socket, c"to_io", &[])?)?;
    let session = Session {
        link: RefCell::new(Link::new(fd)),
        receiving: Direction::new(),
        sending: Direction::new(),
    };
    // SAFETY: the class is a constant of the VM.
    let object = typed::wrap(unsafe { rb_sys::rb_cObject }, session);
    let session =
        typed::get::<Session>(object).ok_or_else(|| Raise::um_error("uninitialized session"))?;
    value::set_ivar(socket, value::intern(c"@__um_machine__"), machine)?;
    value::set_ivar(socket, session_name(), object)?;
    // SAFETY: the session doesn't move, and goes with the SSLSocket.
    if let Err(raise) = unsafe { ssl.use_link(&raw const session.link) } {
        value::set_ivar(socket, session_name(), NIL)?;
        return Err(raise);
    }
    value::call(socket, c"extend", &[METHODS.load(Ordering::Relaxed)])?;
    value::set_ivar(socket, value::intern(c"@__um_bio__"), TRUE)?;
    Ok(object)
}

/// Puts a BIO of the machine below an SSLSocket, once. A later machine becomes the one that the
/// SSLSocket's own methods wait in.
fn ssl_set_bio(this: VALUE, socket: VALUE) -> Outcome {
    Connection::open(this, socket)?;
    value::set_ivar(socket, value::intern(c"@__um_machine__"), this)?;
    Ok(this)
}

/// `ssl_read(ssl, buffer, max)`: bytes (of one record, 16 KB at most), 0 when the peer has ended the connection in good order.
fn ssl_read(this: VALUE, socket: VALUE, buffer: VALUE, max: VALUE) -> Outcome {
    let max = length(max, "max")?.min(RECORD);
    buffer::check(buffer)?;
    let connection = Connection::open(this, socket)?;
    if max == 0 {
        return Ok(value::integer(0));
    }
    conclude(connection.read(buffer, max))
}

/// `ssl_write(ssl, buffer, len)`: bytes, when all of them are sent. 0 means all of the buffer.
fn ssl_write(this: VALUE, socket: VALUE, buffer: VALUE, len: VALUE) -> Outcome {
    let len = optional_length(len)?.filter(|len| *len > 0);
    buffer::check(buffer)?;
    let connection = Connection::open(this, socket)?;
    let source = buffer::lend_source(buffer, len)?;
    let written = connection.write_source(&source);
    source.release();
    conclude(written)
}

fn conclude(count: Result<usize, Interruption>) -> Outcome {
    match count {
        Ok(count) => Ok(value::integer(i64::try_from(count).unwrap_or(i64::MAX))),
        Err(interruption) => interruption.conclude(),
    }
}

pub(super) fn init(class: VALUE) {
    let methods = typed::define_module_under(class, c"SSLMethods");
    METHODS.store(methods, Ordering::Relaxed);
    define(class, c"ssl_set_bio", method!(ssl_set_bio, 1));
    define(class, c"ssl_read", method!(ssl_read, 3));
    define(class, c"ssl_write", method!(ssl_write, 3));
}
