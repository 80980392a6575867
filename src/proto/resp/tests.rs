//! The decoder in the hands of a binding: whole streams, pieces of them, and a naive parser's view.

use super::*;

mod naive;
mod properties;
mod replies;

/// A reply, as a binding would build it.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Its bits, so that NaN equals itself.
    Double(u64),
    BigNumber(String),
    Text(Text, Vec<u8>),
    Aggregate(Aggregate, Vec<Value>),
}

/// What a stream came to: its replies, and why there are no more.
type Outcome = (Vec<Value>, Option<RespError>);

/// A stand-in for a binding: it has a decoder, a stack, and bytes that come as they like.
struct Reader {
    decoder: Decoder,
    front: Vec<u8>,
    stack: Vec<(Aggregate, Vec<Value>)>,
    replies: Vec<Value>,
    /// A string that is being taken, and how much of it is missing.
    text: Option<(Text, Vec<u8>, usize)>,
    /// An attribute has come before its reply.
    attribute: bool,
}

impl Reader {
    fn new(limits: Limits) -> Self {
        Self {
            decoder: Decoder::new(limits),
            front: Vec::new(),
            stack: Vec::new(),
            replies: Vec::new(),
            text: None,
            attribute: false,
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), RespError> {
        self.front.extend_from_slice(bytes);
        loop {
            if let Some((_, text, missing)) = &mut self.text {
                let count = self.front.len().min(*missing);
                text.extend(self.front.drain(..count));
                *missing -= count;
                if *missing > 0 {
                    return Ok(());
                }
            }
            let front = std::mem::take(&mut self.front);
            let step = self.decoder.next(&front)?;
            let Step::Event { event, consumed } = step else {
                self.front = front;
                return Ok(());
            };
            // Only the end of something counted needs no bytes.
            assert!(consumed > 0 || event == Event::Close);
            self.take(event);
            self.front = front[consumed..].to_vec();
            assert_eq!(
                self.decoder.is_between_replies(),
                self.stack.is_empty() && self.text.is_none() && !self.attribute
            );
        }
    }

    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Null => self.add(Value::Null),
            Event::Boolean(value) => self.add(Value::Boolean(value)),
            Event::Integer(value) => self.add(Value::Integer(value)),
            Event::Double(value) => self.add(Value::Double(value.to_bits())),
            Event::BigNumber(text) => self.add(Value::BigNumber(text.to_owned())),
            Event::Text { kind, bytes } => self.add(Value::Text(kind, bytes.to_vec())),
            Event::TextStart { kind, len } => {
                self.text = Some((kind, Vec::new(), len));
                self.attribute &= !self.stack.is_empty();
            }
            Event::TextEnd => {
                let (kind, text, _) = self.text.take().expect("a string");
                self.add(Value::Text(kind, text));
            }
            Event::Open { kind, .. } => self.stack.push((kind, Vec::new())),
            Event::Close => {
                let (kind, values) = self.stack.pop().expect("something open");
                if kind != Aggregate::Attribute || self.stack.is_empty() {
                    self.add(Value::Aggregate(kind, values));
                }
            }
        }
    }

    fn add(&mut self, value: Value) {
        match self.stack.last_mut() {
            Some((_, values)) => values.push(value),
            None => {
                self.attribute = matches!(value, Value::Aggregate(Aggregate::Attribute, _));
                self.replies.push(value);
            }
        }
    }
}

/// Decodes a stream that comes in pieces of these sizes, over and over.
fn decode(bytes: &[u8], sizes: &[usize], limits: Limits) -> Outcome {
    let mut reader = Reader::new(limits);
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        rest = after;
        if let Err(error) = reader.feed(piece) {
            assert_eq!(reader.decoder.next(b"+OK\r\n"), Err(error), "it is final");
            return (reader.replies, Some(error));
        }
        if rest.is_empty() {
            break;
        }
    }
    (reader.replies, None)
}
