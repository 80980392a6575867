//! io_uring for fibers, without Ruby.
//!
//! The crate owns a ring ([`ring::Ring`]), the table of ops in flight ([`op::OpTable`]), their
//! deadlines ([`timer::TimerHeap`]) and the transfers built on them ([`splice`]);
//! [`driver::Driver`] puts the first three together.
//! What a completion means for a fiber is the binding's business: the driver carries an opaque
//! value per op and hands it back.
//!
//! Architecture invariants: nothing in here names a Ruby type, and nothing in here reads the
//! clock; whoever calls passes `now`.

pub mod buf;
pub mod child;
pub mod codec;
pub mod driver;
pub mod error;
pub mod fork;
pub mod inotify;
pub mod link;
pub mod net;
pub mod offload;
pub mod op;
pub mod proto;
pub mod resolve;
pub mod ring;
pub mod runqueue;
pub mod source;
pub mod splice;
pub mod stream;
pub mod sys;
pub mod timer;
