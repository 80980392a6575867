//! What is wrong with a stream.

use std::fmt;

/// Why a stream is not RESP, or asks for too much. Nothing behind it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RespError {
    /// No value begins with this byte.
    Type(u8),
    /// A CR or LF by itself.
    LineEnd,
    /// A line of more bytes than the limit.
    LineLength(usize),
    /// `_` with something behind it.
    Null,
    /// `#` with neither `t` nor `f`.
    Boolean,
    /// `:` with something that has no 64 bits.
    Integer,
    /// `,` with something that is no number.
    Double,
    /// `(` with something that is no number.
    BigNumber,
    /// Neither the length of a string nor the count of an aggregate.
    Length,
    /// A string of more bytes than the limit.
    StringLength(usize),
    /// Something else behind a string than CR and LF.
    StringEnd,
    /// A verbatim string that doesn't begin with its format.
    Format,
    /// More aggregates inside each other than the limit.
    Nesting(usize),
    /// `;` outside of a streamed string, or something else inside.
    Chunk,
    /// `.` outside of a streamed aggregate.
    End,
    /// A key without a value.
    Pair,
}

impl fmt::Display for RespError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RESP: ")?;
        match self {
            Self::Type(byte) => write!(f, "no value begins with '{}'", byte.escape_ascii()),
            Self::LineEnd => f.write_str("a line does not end in CR LF"),
            Self::LineLength(limit) => write!(f, "a line is longer than {limit} bytes"),
            Self::Null => f.write_str("malformed null"),
            Self::Boolean => f.write_str("malformed boolean"),
            Self::Integer => f.write_str("malformed integer, or one beyond 64 bits"),
            Self::Double => f.write_str("malformed double"),
            Self::BigNumber => f.write_str("malformed big number"),
            Self::Length => f.write_str("malformed length"),
            Self::StringLength(limit) => write!(f, "a string is longer than {limit} bytes"),
            Self::StringEnd => f.write_str("a string does not end where its length says"),
            Self::Format => f.write_str("a verbatim string has no format"),
            Self::Nesting(limit) => write!(f, "more than {limit} levels of nesting"),
            Self::Chunk => f.write_str("chunks and streamed strings do not match"),
            Self::End => f.write_str("an end without a streamed aggregate"),
            Self::Pair => f.write_str("a streamed map ends after a key"),
        }
    }
}

impl std::error::Error for RespError {}
