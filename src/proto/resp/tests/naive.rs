//! A parser that has everything before it, and calls itself for what is inside.

use super::{Aggregate, Limits, Outcome, RespError, Text, Value};

/// There is no value, because more would be needed, or because of an error.
type Missing = Option<RespError>;

/// All replies of a stream.
pub(super) fn replies(bytes: &[u8], limits: Limits) -> Outcome {
    let mut parser = Parser { rest: bytes, limits };
    let mut replies = Vec::new();
    loop {
        match parser.value(0) {
            Ok(value) => replies.push(value),
            Err(missing) => return (replies, missing),
        }
    }
}

struct Parser<'a> {
    rest: &'a [u8],
    limits: Limits,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, Missing> {
        let sign = *self.rest.first().ok_or(None)?;
        match sign {
            b'+' | b'-' | b':' | b',' | b'(' | b'#' | b'_' => self.line_value(sign),
            b'$' | b'=' | b'!' => self.string(sign),
            b'*' | b'~' | b'>' | b'%' | b'|' => self.aggregate(sign, depth),
            b';' => Err(Some(RespError::Chunk)),
            b'.' => self.line().and(Err(Some(RespError::End))),
            other => Err(Some(RespError::Type(other))),
        }
    }

    /// What is behind the first byte of a line.
    fn line(&mut self) -> Result<String, Missing> {
        let text = &self.rest[1..];
        let end = text.iter().position(|byte| b"\r\n".contains(byte));
        if end.unwrap_or(text.len()) > self.limits.line {
            return Err(Some(RespError::LineLength(self.limits.line)));
        }
        let (text, after) = text.split_at(end.ok_or(None)?);
        if after == b"\r" {
            return Err(None);
        }
        self.rest = after.strip_prefix(b"\r\n").ok_or(Some(RespError::LineEnd))?;
        // One character a byte, so that nothing is lost.
        Ok(text.iter().map(|byte| char::from(*byte)).collect())
    }

    fn line_value(&mut self, sign: u8) -> Result<Value, Missing> {
        let text = self.line()?;
        let bytes = || text.chars().map(|char| char as u8).collect();
        match sign {
            b'+' => Ok(Value::Text(Text::String, bytes())),
            b'-' => Ok(Value::Text(Text::Error, bytes())),
            b':' => text.parse().map(Value::Integer).or(Err(Some(RespError::Integer))),
            b',' => {
                let number: f64 = text.parse().or(Err(Some(RespError::Double)))?;
                Ok(Value::Double(number.to_bits()))
            }
            b'(' => {
                let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
                // The limit of a line leaves no more than this has room for.
                digits.parse::<u64>().or(Err(Some(RespError::BigNumber)))?;
                if digits.starts_with('+') {
                    return Err(Some(RespError::BigNumber));
                }
                Ok(Value::BigNumber(text))
            }
            b'#' if text == "t" => Ok(Value::Boolean(true)),
            b'#' if text == "f" => Ok(Value::Boolean(false)),
            b'#' => Err(Some(RespError::Boolean)),
            _ if text.is_empty() => Ok(Value::Null),
            _ => Err(Some(RespError::Null)),
        }
    }

    fn length(text: &str) -> Result<usize, Missing> {
        if text.starts_with('+') {
            return Err(Some(RespError::Length));
        }
        text.parse().or(Err(Some(RespError::Length)))
    }

    fn string(&mut self, sign: u8) -> Result<Value, Missing> {
        let text = self.line()?;
        match (sign, text.as_str()) {
            (b'$', "-1") => Ok(Value::Null),
            (b'$', "?") => self.chunks(),
            (b'$', _) => self.bytes(&text).map(|bytes| Value::Text(Text::String, bytes)),
            (b'!', _) => self.bytes(&text).map(|bytes| Value::Text(Text::Error, bytes)),
            _ => self.verbatim(&text),
        }
    }

    fn verbatim(&mut self, length: &str) -> Result<Value, Missing> {
        let len = Self::length(length)?;
        let other = self.rest.get(3).is_some_and(|byte| *byte != b':');
        if len <= self.limits.string && (len < 4 || other) {
            return Err(Some(RespError::Format));
        }
        let bytes = self.bytes(length)?;
        Ok(Value::Text(Text::Verbatim, bytes[4..].to_vec()))
    }

    fn bytes(&mut self, length: &str) -> Result<Vec<u8>, Missing> {
        let len = Self::length(length)?;
        if len > self.limits.string {
            return Err(Some(RespError::StringLength(self.limits.string)));
        }
        let (bytes, after) = self.rest.split_at_checked(len).ok_or(None)?;
        match after {
            [] | [b'\r'] => Err(None),
            [b'\r', b'\n', rest @ ..] => {
                self.rest = rest;
                Ok(bytes.to_vec())
            }
            _ => Err(Some(RespError::StringEnd)),
        }
    }

    fn chunks(&mut self) -> Result<Value, Missing> {
        let mut chunks = Vec::new();
        let mut total = 0;
        loop {
            if *self.rest.first().ok_or(None)? != b';' {
                return Err(Some(RespError::Chunk));
            }
            let length = self.line()?;
            let len = Self::length(&length)?;
            if len == 0 {
                return Ok(Value::Aggregate(Aggregate::Chunks, chunks));
            }
            total += len;
            if total > self.limits.string {
                return Err(Some(RespError::StringLength(self.limits.string)));
            }
            chunks.push(Value::Text(Text::String, self.bytes(&length)?));
        }
    }

    fn aggregate(&mut self, sign: u8, depth: usize) -> Result<Value, Missing> {
        let kind = match sign {
            b'*' => Aggregate::Array,
            b'~' => Aggregate::Set,
            b'>' => Aggregate::Push,
            b'%' => Aggregate::Map,
            _ => Aggregate::Attribute,
        };
        let pairs = matches!(sign, b'%' | b'|');
        let text = self.line()?;
        if sign == b'*' && text == "-1" {
            return Ok(Value::Null);
        }
        let count = match text.as_str() {
            "?" => None,
            text => Some(Self::length(text)? * if pairs { 2 } else { 1 }),
        };
        if depth == self.limits.nesting {
            return Err(Some(RespError::Nesting(depth)));
        }
        let mut values = Vec::new();
        while count.is_none_or(|count| values.len() < count) {
            if count.is_none() && self.rest.first() == Some(&b'.') {
                let odd = values.len() % 2 == 1;
                let text = self.line()?;
                return match () {
                    () if pairs && odd => Err(Some(RespError::Pair)),
                    () if text.is_empty() => Ok(Value::Aggregate(kind, values)),
                    () => Err(Some(RespError::End)),
                };
            }
            let value = self.value(depth + 1)?;
            if !matches!(value, Value::Aggregate(Aggregate::Attribute, _)) {
                values.push(value);
            }
        }
        Ok(Value::Aggregate(kind, values))
    }
}
