//! What a head says about the message it belongs to: how the body is delimited, whether the
//! connection goes on.

use super::{Header, Refusal, Version};

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, see [`super::Chunked`].
    Chunked,
}

impl Body {
    /// Refuses a body that is known to be larger than `max`. A chunked one is measured as it comes.
    ///
    /// # Errors
    /// [`Refusal::BodyTooLarge`].
    pub fn within(self, max: u64) -> Result<(), Refusal> {
        match self {
            Self::Length(len) if len > max => Err(Refusal::BodyTooLarge),
            _ => Ok(()),
        }
    }
}

/// What was said by the headers seen so far.
#[derive(Debug, Default)]
pub(super) struct Framing {
    has_host: bool,
    length: Option<u64>,
    is_encoded: bool,
    is_chunked: bool,
    has_other_codings: bool,
    closes: bool,
    keeps_alive: bool,
    expects_continue: bool,
}

impl Framing {
    pub(super) fn of(headers: &[Header<'_>]) -> Result<Self, Refusal> {
        let mut framing = Self::default();
        for header in headers {
            framing.add(header)?;
        }
        Ok(framing)
    }

    fn add(&mut self, header: &Header<'_>) -> Result<(), Refusal> {
        let is = |name| header.name.eq_ignore_ascii_case(name);
        let value = header.value;
        if is("host") {
            self.host(value)
        } else if is("content-length") {
            self.length(value)
        } else if is("transfer-encoding") {
            self.codings(value)
        } else {
            if is("connection") {
                self.closes |= has_token(value, b"close");
                self.keeps_alive |= has_token(value, b"keep-alive");
            } else if is("expect") {
                self.expects_continue |= has_token(value, b"100-continue");
            }
            Ok(())
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.has_host || !is_host(value) {
            return Err(Refusal::Host);
        }
        self.has_host = true;
        Ok(())
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::ContentLength);
        }
        self.length = Some(decimal(value).ok_or(Refusal::ContentLength)?);
        Ok(())
    }

    fn codings(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.is_encoded = true;
        for coding in list(value) {
            if coding.is_empty() || self.is_chunked {
                return Err(Refusal::TransferEncoding);
            }
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.is_chunked = true;
            } else {
                self.has_other_codings = true;
            }
        }
        Ok(())
    }

    /// A request must say for which host it is, since 1.1.
    pub(super) fn check_host(&self, version: Version) -> Result<(), Refusal> {
        if self.has_host || version == Version::Http10 { Ok(()) } else { Err(Refusal::Host) }
    }

    /// How the body of a request is delimited.
    pub(super) fn body(&self, version: Version) -> Result<Body, Refusal> {
        match self.length {
            Some(_) if self.is_encoded => Err(Refusal::TwoFramings),
            Some(len) => Ok(Body::Length(len)),
            None if !self.is_encoded => Ok(Body::None),
            None if !self.is_chunked || version == Version::Http10 => {
                Err(Refusal::TransferEncoding)
            }
            None if self.has_other_codings => Err(Refusal::UnknownCoding),
            None => Ok(Body::Chunked),
        }
    }

    pub(super) fn persists(&self, version: Version) -> bool {
        !self.closes && (self.keeps_alive || version == Version::Http11)
    }

    pub(super) fn expects_continue(&self, version: Version) -> bool {
        self.expects_continue && version == Version::Http11
    }
}

/// Whether a header says how a message is delimited, or whom it is for: it may stand only once, in
/// the head.
pub(super) fn belongs_into_head(name: &str) -> bool {
    is_framing(name.as_bytes()) || name.eq_ignore_ascii_case("host")
}

/// Whether a header says how a message is delimited.
pub(super) fn is_framing(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
}

/// Host and port; empty where the target has no authority.
pub(super) fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(byte))
}

fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    list(value).any(|element| element.eq_ignore_ascii_case(token))
}

/// Digits and nothing else, unlike [`str::parse`].
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_digits_of_64_bits() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"0042"), Some(42));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b""[..], b"18446744073709551616", b"+1", b"-1", b"1 ", b"0x1", b"1_0", b"1,1"]
        {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_body_is_within_its_limit() {
        assert_eq!(Body::Length(10).within(10), Ok(()));
        assert_eq!(Body::Length(11).within(10), Err(Refusal::BodyTooLarge));
        assert_eq!(Body::Chunked.within(0), Ok(()));
        assert_eq!(Body::None.within(0), Ok(()));
    }
}
