//! inotify: events of files.

use polyphony_core::inotify::{self, BUFFER_SIZE, Event};
use rb_sys::VALUE;

use super::files::fd_of;
use super::{Machine, Watched, ready_now};
use crate::errors::{Outcome, Raise, check, integer_or_errno};
use crate::ruby::buffer;
use crate::ruby::method::{define, define_singleton, method};
use crate::ruby::{NIL, value};

fn inotify_init(_class: VALUE) -> Outcome {
    integer_or_errno(inotify::init()?)
}

/// `UM.inotify_add_watch(fd, path, mask)`: the number of the watch.
fn inotify_add_watch(_class: VALUE, fd: VALUE, path: VALUE, mask: VALUE) -> Outcome {
    let fd = fd_of(fd)?;
    let mask = value::int64(mask, "mask")?;
    let mask = u32::try_from(mask)
        .map_err(|_| Raise::range_error(format!("mask {mask} is out of range")))?;
    let path = buffer::c_string(path, "path")?;
    integer_or_errno(inotify::add_watch(fd, &path, mask)?)
}

/// `inotify_get_events(fd)`: what has happened, at least one event.
///
/// The ring waits and read(2) reads: events that a read of the ring had taken off the descriptor
/// would be lost when the fiber is interrupted at that moment.
fn inotify_get_events(this: VALUE, fd: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let fd = fd_of(fd)?;
    let mut buffer = [0; BUFFER_SIZE];
    let mut waited = false;
    loop {
        // Asked also after a wait: another fiber may have been faster, and a descriptor that was
        // not made here may be a blocking one.
        if ready_now(&[(fd, libc::POLLIN)])? != [0] {
            match inotify::read(fd, &mut buffer) {
                Ok(count) => {
                    if !waited {
                        machine.count_op();
                    }
                    return hashes(inotify::events(&buffer[..count]));
                }
                Err(libc::EAGAIN | libc::EINTR) => {}
                Err(errno) => return Err(Raise::Errno(errno)),
            }
        }
        waited = true;
        match machine.wait_for_watch(machine.watch(fd, libc::POLLIN, None)?)? {
            Watched::Result(result) => check(result).map(drop)?,
            Watched::TimedOut => {}
            Watched::Interrupted(interruption) => return interruption.conclude(),
        }
    }
}

/// Events as `{wd:, mask:, name:}`; name is nil where the event is about the watched file itself.
/// EINVAL where what was read are no events: the descriptor is something else.
fn hashes<'a>(events: impl Iterator<Item = Event<'a>>) -> Outcome {
    let list = value::array();
    for event in events {
        let name = if event.name.is_empty() { NIL } else { value::file_name(event.name) };
        let hash = value::hash();
        value::store(hash, value::symbol(c"wd"), value::integer(i64::from(event.wd)));
        value::store(hash, value::symbol(c"mask"), value::integer(i64::from(event.mask)));
        value::store(hash, value::symbol(c"name"), name);
        value::push(list, hash);
    }
    if value::array_len(list) == 0 {
        return Err(Raise::Errno(libc::EINVAL));
    }
    Ok(list)
}

pub(super) fn init(class: VALUE) {
    define(class, c"inotify_get_events", method!(inotify_get_events, 1));
    define_singleton(class, c"inotify_init", method!(inotify_init, 0));
    define_singleton(class, c"inotify_add_watch", method!(inotify_add_watch, 3));
}
