//! HTTP/1.1, as a server reads and answers it.
//!
//! [`HeadEnd`] finds where a request's head ends, [`Request::parse`] takes the head apart and says
//! how the body is delimited, [`Chunked`] finds the payload of a chunked body, [`ResponseHead`]
//! writes the head of an answer.
//!
//! Two parsers that disagree about where a request ends let one request hide in another, so
//! nothing ambiguous is read leniently:
//!
//! - Lines end in CR LF. A line feed or a carriage return alone is refused, wherever it stands.
//! - Empty lines before a request are skipped; nothing else may stand there.
//! - A header line that is continued (`obs-fold`), and blanks before its colon, are refused.
//! - `Content-Length` is digits, once. `Transfer-Encoding` ends in `chunked`, has it once, and
//!   comes neither with a length nor in HTTP/1.0.
//! - Bytes from 0x80 are let through in values of headers, and in targets where they are UTF-8.
//!
//! After a [`Refusal`] nobody knows where the next request would begin: answer and close.

mod body;
mod chunked;
mod head;
mod lines;
mod refusal;
mod response;
mod status;
#[cfg(test)]
mod tests;

pub use body::Body;
pub use chunked::{Chunked, Step};
pub use head::{HeadEnd, MAX_HEADERS, Request, Slots, Version, slots};
pub use httparse::Header;
pub use refusal::Refusal;
pub use response::{LAST_CHUNK, ResponseHead, Unsendable, chunk_head};
pub use status::{allows_body, reason};
