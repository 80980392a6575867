//! Why a request is not read, and the status that says so.

use std::fmt;

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A line feed or a carriage return stands alone.
    LineEnd,
    /// The request line is not method, target and version.
    RequestLine,
    /// A header is not a name, a colon and a value without control characters.
    Header,
    /// No `Host`, more than one, or one that is no host.
    Host,
    /// `Content-Length` is no number of 64 bits, or comes twice.
    ContentLength,
    /// `Transfer-Encoding` does not end in its only `chunked`, or comes in HTTP/1.0.
    TransferEncoding,
    /// Both `Content-Length` and `Transfer-Encoding`.
    TwoFramings,
    /// A chunk's size is no hexadecimal number of 64 bits.
    ChunkSize,
    /// Extensions of chunks have control characters, or outweigh the payload.
    ChunkExtension,
    /// A chunk is longer than its size says.
    ChunkEnd,
    /// A trailer is no header, or one that belongs into the head.
    Trailer,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The request line fills the room of the whole head.
    TargetTooLong,
    /// The head, or what follows a chunked body, is larger than the limit.
    HeadTooLarge,
    /// More headers than the limit.
    TooManyHeaders,
    /// A transfer coding besides `chunked`.
    UnknownCoding,
    /// A version of HTTP that is neither 1.0 nor 1.1.
    UnknownVersion,
    /// The peer has ended before the request was whole.
    CutOff,
}

impl Refusal {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::UnknownCoding => 501,
            Self::UnknownVersion => 505,
            _ => 400,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LineEnd => "a line does not end in CR LF",
            Self::RequestLine => "malformed request line",
            Self::Header => "malformed header",
            Self::Host => "Host is missing, malformed or given twice",
            Self::ContentLength => "Content-Length is malformed or given twice",
            Self::TransferEncoding => "Transfer-Encoding does not end in a single chunked",
            Self::TwoFramings => "both Content-Length and Transfer-Encoding",
            Self::ChunkSize => "malformed chunk size",
            Self::ChunkExtension => "malformed or too many chunk extensions",
            Self::ChunkEnd => "a chunk does not end where its size says",
            Self::Trailer => "malformed trailer",
            Self::BodyTooLarge => "body too large",
            Self::TargetTooLong => "request line too long",
            Self::HeadTooLarge => "headers too large",
            Self::TooManyHeaders => "too many headers",
            Self::UnknownCoding => "unknown transfer coding",
            Self::UnknownVersion => "unknown version of HTTP",
            Self::CutOff => "the request is cut off",
        })
    }
}

impl std::error::Error for Refusal {}
