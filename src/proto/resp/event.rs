//! What a decoder sees in a stream.

/// What came of looking at the front of the stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step<'a> {
    /// More bytes are needed behind these. None was used: they are to be shown again.
    NeedMore,
    /// Something was seen.
    Event {
        /// What it is.
        event: Event<'a>,
        /// Bytes at the front that it was made of; 0 is possible.
        consumed: usize,
    },
}

/// A value, or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// `_`, `$-1` or `*-1`.
    Null,
    /// `#`.
    Boolean(bool),
    /// `:`.
    Integer(i64),
    /// `,`.
    Double(f64),
    /// `(`: digits, perhaps with a sign before them.
    BigNumber(&'a str),
    /// A whole string: a line, or one that came with its length and was there to its end.
    Text {
        /// What it stands for.
        kind: Text,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A string of which something is still missing. The next `len` bytes are the caller's to
    /// take, behind those that this event has consumed; what follows them goes to the decoder,
    /// which answers with [`Event::TextEnd`].
    TextStart {
        /// What it stands for.
        kind: Text,
        /// Its bytes.
        len: usize,
    },
    /// The string that the caller has taken was a whole one.
    TextEnd,
    /// Everything up to the matching [`Event::Close`] is inside.
    Open {
        /// What it is.
        kind: Aggregate,
        /// Its elements, or pairs of them, as the peer says: no number to reserve memory for.
        /// None where the end will show.
        count: Option<u64>,
    },
    /// The innermost aggregate is complete.
    Close,
}

/// What a string stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// `+`, `$`, `;`: itself.
    String,
    /// `=`: UTF-8, without the format that was before it.
    Verbatim,
    /// `-`, `!`: an error.
    Error,
}

/// What holds other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// `*`.
    Array,
    /// `~`.
    Set,
    /// `>`.
    Push,
    /// `%`: keys and values in turn.
    Map,
    /// `|`: keys and values in turn. It says something about the value behind it and is none
    /// itself: inside another aggregate it is no element of that.
    Attribute,
    /// `$?`: strings that make up one string.
    Chunks,
}

impl Aggregate {
    /// Whether keys and values come in turn.
    #[must_use]
    pub fn has_pairs(self) -> bool {
        matches!(self, Self::Map | Self::Attribute)
    }
}
