//! `statx`.

use polyphony_core::op::Statx;
use rb_sys::VALUE;

use super::files::fd_of;
use super::{Machine, OnInterrupt};
use crate::errors::{Outcome, check};
use crate::ruby::buffer::{self, Loan};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, value};

/// `statx(dirfd, path, flags, mask)`: a Hash. Without a path it is about the descriptor itself.
fn statx(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(4, 4)?;
    let machine = Machine::of(this)?;
    let dirfd = fd_of(args.get(0))?;
    let flags = value::int32(args.get(2), "flags")?;
    let mask = value::int32(args.get(3), "mask")? as u32;
    let path = match args.get(1) {
        NIL => None,
        path => Some(buffer::c_string(path, "path")?),
    };
    // SAFETY: the path and the result are the op's own memory.
    let key = unsafe { machine.submit(Statx { dirfd, path, flags, mask }, Loan::NONE) }?;
    machine.conclude_with_remains(key, OnInterrupt::AwaitCancel, |result, left| {
        check(result)?;
        let stat = left.and_then(|left| left.memory.stat().copied());
        Ok(stat.map_or(NIL, |stat| hash_of(&stat)))
    })
}

fn hash_of(stat: &libc::statx) -> VALUE {
    let device = |major, minor| libc::makedev(major, minor);
    let hash = value::hash();
    for (name, number) in [
        (c"dev", device(stat.stx_dev_major, stat.stx_dev_minor)),
        (c"rdev", device(stat.stx_rdev_major, stat.stx_rdev_minor)),
        (c"blksize", stat.stx_blksize.into()),
        (c"attributes", stat.stx_attributes),
        (c"nlink", stat.stx_nlink.into()),
        (c"uid", stat.stx_uid.into()),
        (c"gid", stat.stx_gid.into()),
        (c"mode", stat.stx_mode.into()),
        (c"ino", stat.stx_ino),
        (c"size", stat.stx_size),
        (c"blocks", stat.stx_blocks),
    ] {
        value::store(hash, value::symbol(name), value::unsigned(number));
    }
    for (name, time) in [
        (c"atime", stat.stx_atime),
        (c"btime", stat.stx_btime),
        (c"ctime", stat.stx_ctime),
        (c"mtime", stat.stx_mtime),
    ] {
        #[allow(clippy::cast_precision_loss)] // a Float holds microseconds for centuries
        let seconds = time.tv_sec as f64 + f64::from(time.tv_nsec) / 1e9;
        value::store(hash, value::symbol(name), value::float(seconds));
    }
    hash
}

pub(super) fn init(class: VALUE) {
    define(class, c"statx", method!(statx, -1));
}
