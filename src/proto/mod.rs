//! Protocols as pure parsers and encoders: bytes in, bytes out, no I/O.

pub mod http1;
pub mod resp;
