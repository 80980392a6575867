//! Descriptors that go over a Unix socket, each beside one byte.

use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};
use libc::{SCM_RIGHTS, SOL_SOCKET, cmsghdr};

use super::{Op, OpMemory};

/// Room for what comes beside the byte, in words as a cmsghdr is aligned to them. Two dozen
/// descriptors fit, or one beside whatever else the socket was asked to tell; the kernel drops
/// those that don't.
const CONTROL: usize = 16;
#[allow(clippy::cast_possible_truncation)] // four
const FD_SIZE: u32 = size_of::<RawFd>() as u32;
/// `SCM_PIDFD`, of sockets with `SO_PASSPIDFD`.
const SCM_PIDFD: i32 = 4;

/// Sends a descriptor. Result: 1.
#[derive(Clone, Copy, Debug)]
pub struct SendFd {
    /// The socket.
    pub socket: RawFd,
    /// What to send.
    pub fd: RawFd,
}

/// A message of one byte. Its header points to its other parts, so it stays where it was made.
pub struct FdMessage {
    header: libc::msghdr,
    vector: libc::iovec,
    byte: u8,
    control: [u64; CONTROL],
}

impl FdMessage {
    fn new() -> Box<Self> {
        // SAFETY: plain data for which all zeroes is a valid value.
        let mut message: Box<Self> = Box::new(unsafe { std::mem::zeroed() });
        message.vector.iov_base = (&raw mut message.byte).cast();
        message.vector.iov_len = 1;
        message.header.msg_iov = &raw mut message.vector;
        message.header.msg_iovlen = 1;
        message.header.msg_control = (&raw mut message.control).cast();
        // Inferred, here and below: the C libraries don't agree about the types.
        message.header.msg_controllen = size_of_val(&message.control) as _;
        message
    }

    fn carrying(fd: RawFd) -> Box<Self> {
        let mut message = Self::new();
        // SAFETY: the control buffer has room for one descriptor, and is aligned for its header.
        unsafe {
            message.header.msg_controllen = libc::CMSG_SPACE(FD_SIZE) as _;
            let first = libc::CMSG_FIRSTHDR(&raw const message.header);
            (*first).cmsg_level = SOL_SOCKET;
            (*first).cmsg_type = SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(FD_SIZE) as _;
            libc::CMSG_DATA(first).cast::<RawFd>().write_unaligned(fd);
        }
        message
    }

    /// Calls `each` with every descriptor in the message, and whether it was sent (and not added
    /// by the kernel).
    fn each_fd(&self, mut each: impl FnMut(RawFd, bool)) {
        // SAFETY: the header and its control buffer are the kernel's work, or zeroed: a part of
        // length 0 ends the walk.
        unsafe {
            let mut part = libc::CMSG_FIRSTHDR(&raw const self.header);
            while !part.is_null() {
                let cmsghdr { cmsg_level: level, cmsg_type: kind, cmsg_len: len, .. } = *part;
                if level == SOL_SOCKET && (kind == SCM_RIGHTS || kind == SCM_PIDFD) {
                    let data = libc::CMSG_DATA(part).cast::<RawFd>();
                    #[allow(clippy::unnecessary_cast)] // musl has 32 bits here
                    let bytes = (len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
                    for index in 0..bytes / size_of::<RawFd>() {
                        each(data.add(index).read_unaligned(), kind == SCM_RIGHTS);
                    }
                }
                part = libc::CMSG_NXTHDR(&raw const self.header, part);
            }
        }
    }
}

/// Receives a descriptor that is there already, close-on-exec. It is a plain call because whoever
/// was interrupted while the kernel had an op would lose what had come in.
///
/// # Errors
/// EAGAIN where nothing is there; EINVAL for a message without a descriptor and at the end of the
/// connection; EMFILE or ENFILE where there was one and no number for it; and what `recvmsg(2)`
/// says otherwise.
pub fn receive_fd_now(socket: RawFd) -> Result<RawFd, i32> {
    let mut received = Received(FdMessage::new());
    let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    // SAFETY: the message and what it points to live across the call.
    if unsafe { libc::recvmsg(socket, &raw mut received.0.header, flags) } < 0 {
        // Nothing was written, so there is nothing to close.
        received.0.header.msg_controllen = 0;
        return Err(crate::sys::errno());
    }
    received.claim_fd()
}

/// A message for the kernel to fill. Whatever descriptors came in belong to it.
struct Received(Box<FdMessage>);

impl Received {
    /// The first descriptor that was sent: the caller's from now on. The others are closed.
    ///
    /// # Errors
    /// EINVAL where there was none. Where there was and the kernel had no number for it, what it
    /// has dropped it for (EMFILE).
    fn claim_fd(&mut self) -> Result<RawFd, i32> {
        // Asked before others are closed.
        let cut = self.0.header.msg_flags & libc::MSG_CTRUNC != 0;
        let shortage = if cut { crate::sys::descriptor_shortage() } else { None };
        self.take_fd().ok_or(shortage.unwrap_or(libc::EINVAL))
    }

    /// The first descriptor that was sent, if any: the caller's from now on. The others are closed.
    fn take_fd(&mut self) -> Option<RawFd> {
        let mut first = None;
        self.0.each_fd(|fd, sent| {
            if sent && first.is_none() {
                first = Some(fd);
            } else {
                let _ = crate::sys::close(fd);
            }
        });
        self.0.header.msg_controllen = 0;
        first
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(fd) = self.take_fd() {
            let _ = crate::sys::close(fd);
        }
    }
}

impl Op for SendFd {
    const NAME: &'static str = "send_fd";

    fn fd(&self) -> Option<RawFd> {
        Some(self.socket)
    }

    /// The kernel looks the descriptor up when the message goes out: until then its number must
    /// not become another file's.
    fn second_fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, memory: &mut OpMemory) -> squeue::Entry {
        let message = FdMessage::carrying(self.fd);
        let entry = opcode::SendMsg::new(types::Fd(self.socket), &raw const message.header)
            .flags(libc::MSG_NOSIGNAL as u32)
            .build();
        *memory = OpMemory::FdMessage(message);
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net;

    fn is_open(fd: RawFd) -> bool {
        // SAFETY: no pointers.
        unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
    }

    /// A message as the kernel leaves it behind, with these descriptors.
    fn received(fds: &[RawFd]) -> Received {
        let mut message = FdMessage::carrying(-1);
        let len = u32::try_from(size_of_val(fds)).expect("few");
        // SAFETY: as in `carrying`.
        unsafe {
            message.header.msg_controllen = libc::CMSG_SPACE(len) as _;
            let first = libc::CMSG_FIRSTHDR(&raw const message.header);
            (*first).cmsg_len = libc::CMSG_LEN(len) as _;
            for (index, fd) in fds.iter().enumerate() {
                libc::CMSG_DATA(first).cast::<RawFd>().add(index).write_unaligned(*fd);
            }
        }
        Received(message)
    }

    #[test]
    fn the_first_of_several_descriptors_is_kept() {
        let [kept, other] = net::pipe(0).expect("pipe");
        let mut message = received(&[kept, other]);
        assert_eq!(message.take_fd(), Some(kept));
        assert_eq!(message.take_fd(), None);
        drop(message);
        assert_eq!((is_open(kept), is_open(other)), (true, false));
        crate::sys::close(kept).expect("close");
    }

    #[test]
    fn descriptors_that_nobody_takes_are_closed() {
        let [one, other] = net::pipe(0).expect("pipe");
        drop(received(&[one, other]));
        assert_eq!((is_open(one), is_open(other)), (false, false));
    }

    #[test]
    fn what_was_cut_off_while_there_are_numbers_was_no_descriptor() {
        let mut message = Received(FdMessage::new());
        message.0.header.msg_flags = libc::MSG_CTRUNC;
        assert_eq!(message.claim_fd(), Err(libc::EINVAL));
    }

    #[test]
    fn a_message_that_never_came_has_none() {
        assert_eq!(Received(FdMessage::new()).take_fd(), None);
    }
}
