//! The bytes between a TLS library and its socket. What they mean is the library's business.
//!
//! The library reads and writes here as on a socket that never waits. Whether its caller is one of
//! ours makes the difference:
//!
//! * *Attended*: the caller goes to the ring for more, and sends what was written. So reads are
//!   served from memory alone, and writes are taken in whole: an interrupted caller never leaves
//!   half a record behind.
//! * *Unattended*: nobody would come for what stays behind. Reads and writes go to the socket at
//!   once, as far as they can without waiting.

use std::mem;
use std::ops::Range;
use std::os::fd::RawFd;

use crate::net;

/// Bytes received at once from a peer that sends little: a full TLS record and a little more.
const INPUT: usize = 17 * 1024;
/// The same where that much came last time: fewer ops for each byte of a long transfer.
const LARGE_INPUT: usize = 64 * 1024;
/// Unsent bytes from which on nothing more is taken in.
const MAX_UNSENT: usize = 256 * 1024;
/// Unsent bytes that are worth sending before more is written.
const WORTH_SENDING: usize = 64 * 1024;

/// What came of reading or writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// So many bytes were moved.
    Bytes(usize),
    /// Not now.
    Again,
    /// The peer has shut down.
    End,
    /// An errno.
    Failed(i32),
}

/// Buffers of one connection.
#[derive(Debug)]
pub struct Link {
    fd: RawFd,
    attended: bool,
    /// Empty before the first receive.
    input: Box<[u8]>,
    unread: Range<usize>,
    /// The last receive would have filled a small buffer.
    much_came: bool,
    /// The kernel is writing to `input`.
    receiving: bool,
    ended: bool,
    /// An errno that the library has not been told yet.
    failure: Option<i32>,
    /// Written, behind `outgoing`.
    output: Vec<u8>,
    /// Being sent.
    outgoing: Vec<u8>,
    /// Bytes of `outgoing` that the socket has taken.
    sent: usize,
    /// The kernel is reading `outgoing`.
    sending: bool,
}

impl Link {
    /// A link on a stream socket that somebody else closes.
    #[must_use]
    pub fn new(fd: RawFd) -> Self {
        Self {
            fd,
            attended: false,
            input: Box::default(),
            unread: 0..0,
            much_came: false,
            receiving: false,
            ended: false,
            failure: None,
            output: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            sending: false,
        }
    }

    /// The socket.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.fd
    }

    /// Whether the peer has shut down and all it sent was read.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.ended && self.unread.is_empty()
    }

    /// Says whether the library's caller is one of ours; returns what was said before.
    pub fn attend(&mut self, attended: bool) -> bool {
        mem::replace(&mut self.attended, attended)
    }

    /// Reads for the library.
    pub fn read(&mut self, into: &mut [u8]) -> Transfer {
        if !self.attended && !self.receiving && self.is_dry() {
            self.make_room();
            let got = net::recv_now(self.fd, &mut self.input);
            self.take_in(got);
        }
        if !self.unread.is_empty() {
            let count = into.len().min(self.unread.len());
            let end = self.unread.start + count;
            into[..count].copy_from_slice(&self.input[self.unread.start..end]);
            self.unread.start = end;
            return Transfer::Bytes(count);
        }
        match self.failure.take() {
            Some(errno) => Transfer::Failed(errno),
            None if self.ended => Transfer::End,
            None => Transfer::Again,
        }
    }

    /// Writes for the library.
    pub fn write(&mut self, bytes: &[u8]) -> Transfer {
        if self.attended || self.sending {
            if self.unsent() >= MAX_UNSENT {
                return Transfer::Again;
            }
            self.output.extend_from_slice(bytes);
            return Transfer::Bytes(bytes.len());
        }
        match self.flush() {
            Ok(true) => transfer(net::send_now(self.fd, bytes)),
            Ok(false) => Transfer::Again,
            Err(errno) => Transfer::Failed(errno),
        }
    }

    /// Sends what can be sent without waiting. Whether nothing is left.
    ///
    /// # Errors
    /// The errno of a broken connection; what was left is dropped.
    pub fn flush(&mut self) -> Result<bool, i32> {
        if self.sending {
            return Ok(false);
        }
        while self.refill() {
            match transfer(net::send_now(self.fd, &self.outgoing[self.sent..])) {
                Transfer::Bytes(count) => self.sent += count,
                Transfer::Failed(errno) => {
                    self.drop_output();
                    return Err(errno);
                }
                Transfer::Again | Transfer::End => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Whether so much was written that it should be sent now.
    #[must_use]
    pub fn is_worth_sending(&self) -> bool {
        self.unsent() >= WORTH_SENDING
    }

    /// Where the kernel may put bytes, until [`Link::received`]. `None`: the library has something
    /// to read already.
    pub fn start_receiving(&mut self) -> Option<(*mut u8, usize)> {
        if self.receiving || !self.is_dry() {
            return None;
        }
        self.make_room();
        self.receiving = true;
        Some((self.input.as_mut_ptr(), self.input.len()))
    }

    /// The kernel has let go of the input: bytes, 0 when the peer has shut down, or an errno
    /// (EAGAIN: nothing).
    pub fn received(&mut self, got: Result<usize, i32>) {
        self.receiving = false;
        self.take_in(got);
    }

    /// Bytes for the kernel to send, until [`Link::sent`]. `None`: all is sent.
    pub fn start_sending(&mut self) -> Option<(*const u8, usize)> {
        if self.sending || !self.refill() {
            return None;
        }
        self.sending = true;
        let rest = &self.outgoing[self.sent..];
        Some((rest.as_ptr(), rest.len()))
    }

    /// The kernel has let go of what it was given: bytes that it has sent, or an errno (EAGAIN:
    /// nothing).
    ///
    /// # Errors
    /// The errno of a broken connection; what was left is dropped.
    pub fn sent(&mut self, sent: Result<usize, i32>) -> Result<(), i32> {
        self.sending = false;
        match transfer(sent) {
            Transfer::Bytes(count) => self.sent += count,
            Transfer::Failed(errno) => {
                self.drop_output();
                return Err(errno);
            }
            Transfer::Again | Transfer::End => {}
        }
        Ok(())
    }

    /// Gives back the memory of a large write that is over.
    pub fn shrink(&mut self) {
        if !self.sending && self.unsent() == 0 {
            self.drop_output();
        }
    }

    fn unsent(&self) -> usize {
        self.output.len() + self.outgoing.len() - self.sent
    }

    /// Whether the library would find nothing to read.
    fn is_dry(&self) -> bool {
        self.unread.is_empty() && self.failure.is_none() && !self.ended
    }

    /// A buffer of the right size; all of it was read.
    fn make_room(&mut self) {
        let size = if self.much_came { LARGE_INPUT } else { INPUT };
        if self.input.len() != size {
            self.input = vec![0; size].into();
        }
    }

    fn take_in(&mut self, got: Result<usize, i32>) {
        match transfer(got) {
            Transfer::Bytes(0) => self.ended = true,
            Transfer::Bytes(count) => {
                self.unread = 0..count.min(self.input.len());
                self.much_came = count >= INPUT;
            }
            Transfer::Failed(errno) => self.failure = Some(errno),
            Transfer::Again | Transfer::End => {}
        }
    }

    /// Whether `outgoing` has anything to send.
    fn refill(&mut self) -> bool {
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
            mem::swap(&mut self.outgoing, &mut self.output);
        }
        !self.outgoing.is_empty()
    }

    fn drop_output(&mut self) {
        self.output = Vec::new();
        self.outgoing = Vec::new();
        self.sent = 0;
    }
}

fn transfer(result: Result<usize, i32>) -> Transfer {
    match result {
        Ok(count) => Transfer::Bytes(count),
        Err(libc::EAGAIN | libc::EINTR) => Transfer::Again,
        Err(errno) => Transfer::Failed(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Link, UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("socketpair");
        (Link::new(ours.as_raw_fd()), ours, theirs)
    }

    /// What a ring would do.
    fn receive(link: &mut Link, bytes: &[u8]) {
        let (ptr, len) = link.start_receiving().expect("dry");
        assert!(bytes.len() <= len);
        // SAFETY: the link has lent that much memory.
        unsafe { ptr.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        link.received(Ok(bytes.len()));
    }

    fn read(link: &mut Link, max: usize) -> (Transfer, Vec<u8>) {
        let mut into = vec![0; max];
        let read = link.read(&mut into);
        if let Transfer::Bytes(count) = read {
            into.truncate(count);
        }
        (read, into)
    }

    #[test]
    fn attended_reads_never_look_at_the_socket() {
        let (mut link, _ours, mut theirs) = pair();
        theirs.write_all(b"abc").expect("write");
        link.attend(true);
        assert_eq!(read(&mut link, 3).0, Transfer::Again);
        receive(&mut link, b"xyz");
        assert!(link.start_receiving().is_none());
        assert_eq!(read(&mut link, 2), (Transfer::Bytes(2), b"xy".to_vec()));
        assert_eq!(read(&mut link, 2), (Transfer::Bytes(1), b"z".to_vec()));
        assert_eq!(read(&mut link, 2).0, Transfer::Again);
    }

    #[test]
    fn unattended_reads_come_from_the_socket_behind_what_was_received() {
        let (mut link, _ours, mut theirs) = pair();
        receive(&mut link, b"1");
        theirs.write_all(b"23").expect("write");
        assert_eq!(read(&mut link, 9).1, b"1");
        assert_eq!(read(&mut link, 9).1, b"23");
        assert_eq!(read(&mut link, 9).0, Transfer::Again);
        drop(theirs);
        assert_eq!(read(&mut link, 9).0, Transfer::End);
        assert!(link.is_at_end());
    }

    #[test]
    fn the_input_grows_with_what_comes_and_shrinks_again() {
        let (mut link, _ours, _theirs) = pair();
        let mut sizes = Vec::new();
        for count in [100, INPUT, LARGE_INPUT, 100, 100] {
            let (_, len) = link.start_receiving().expect("dry");
            sizes.push(len);
            link.received(Ok(count));
            assert_eq!(read(&mut link, LARGE_INPUT).0, Transfer::Bytes(count));
        }
        assert_eq!(sizes, [INPUT, INPUT, LARGE_INPUT, LARGE_INPUT, INPUT]);
    }

    #[test]
    fn nobody_reads_past_a_receive_in_flight() {
        let (mut link, _ours, mut theirs) = pair();
        theirs.write_all(b"later").expect("write");
        link.start_receiving().expect("dry");
        assert_eq!(read(&mut link, 9).0, Transfer::Again);
        link.received(Err(libc::EAGAIN));
        assert_eq!(read(&mut link, 9).1, b"later");
    }

    #[test]
    fn a_failed_receive_is_told_once() {
        let (mut link, _ours, _theirs) = pair();
        link.start_receiving().expect("dry");
        link.received(Err(libc::ECONNRESET));
        link.attend(true);
        assert_eq!(read(&mut link, 1).0, Transfer::Failed(libc::ECONNRESET));
        assert_eq!(read(&mut link, 1).0, Transfer::Again);
    }

    #[test]
    fn attended_writes_are_kept_until_sent() {
        let (mut link, _ours, _theirs) = pair();
        link.attend(true);
        assert_eq!(link.write(b"hello"), Transfer::Bytes(5));
        let (_, len) = link.start_sending().expect("unsent");
        assert_eq!(len, 5);
        assert_eq!(link.write(b" you"), Transfer::Bytes(4));
        link.sent(Ok(2)).expect("sent");
        let lens: Vec<usize> = std::iter::from_fn(|| {
            let (_, len) = link.start_sending()?;
            link.sent(Ok(len)).expect("sent");
            Some(len)
        })
        .collect();
        assert_eq!(lens, [3, 4]);
    }

    #[test]
    fn unattended_writes_go_out_behind_what_was_kept() {
        let (mut link, _ours, mut theirs) = pair();
        link.attend(true);
        link.write(b"one ");
        link.attend(false);
        assert_eq!(link.write(b"two"), Transfer::Bytes(3));
        let mut got = [0; 7];
        theirs.read_exact(&mut got).expect("read");
        assert_eq!(&got, b"one two");
    }

    #[test]
    fn writes_are_refused_when_too_much_is_unsent() {
        let (mut link, _ours, _theirs) = pair();
        link.attend(true);
        let record = [0; 16 * 1024];
        let taken = (0..1000).take_while(|_| link.write(&record) != Transfer::Again).count();
        assert_eq!(taken, MAX_UNSENT / record.len());
        assert!(link.is_worth_sending());
    }

    #[test]
    fn a_full_socket_keeps_the_rest() {
        let (mut link, ours, mut theirs) = pair();
        let block = [7; 16 * 1024];
        while matches!(link.write(&block), Transfer::Bytes(_)) {}
        link.attend(true);
        link.write(b"end");
        assert_eq!(link.flush(), Ok(false));
        let mut all = Vec::new();
        let mut part = [0; 64 * 1024];
        while link.flush() == Ok(false) {
            let count = theirs.read(&mut part).expect("read");
            all.extend_from_slice(&part[..count]);
        }
        drop(ours);
        theirs.read_to_end(&mut all).expect("read");
        assert!(all.ends_with(b"\x07end"));
    }

    #[test]
    fn a_broken_connection_drops_what_was_left() {
        let (mut link, _ours, theirs) = pair();
        drop(theirs);
        link.attend(true);
        link.write(b"lost");
        assert_eq!(link.flush(), Err(libc::EPIPE));
        assert_eq!(link.flush(), Ok(true));
        link.write(b"lost");
        link.start_sending().expect("unsent");
        assert_eq!(link.sent(Err(libc::EPIPE)), Err(libc::EPIPE));
        assert!(link.start_sending().is_none());
    }
}
