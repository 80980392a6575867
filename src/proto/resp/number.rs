//! Numbers as they are on the wire.

/// Digits and nothing else.
pub(super) fn length(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Digits, perhaps with a sign before them.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The nearest double. Infinity and NaN may have a sign, and capitals.
pub(super) fn double(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Any number of digits, perhaps with a sign before them.
pub(super) fn big(text: &[u8]) -> Option<&str> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_made_of_digits() {
        let max = u64::MAX.to_string();
        assert_eq!(length(b"0"), Some(0));
        assert_eq!(length(b"0012"), Some(12));
        assert_eq!(length(max.as_bytes()), Some(u64::MAX));
        for text in ["", "-1", "+1", "1 ", " 1", "1a", "/", ":", "18446744073709551616", "1_0"] {
            assert_eq!(length(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn integers_have_a_sign_and_64_bits() {
        for number in [0, 1, -1, 42, i64::MAX, i64::MIN] {
            assert_eq!(integer(number.to_string().as_bytes()), Some(number));
        }
        assert_eq!((integer(b"+7"), integer(b"-0")), (Some(7), Some(0)));
        for text in ["", "+", "-", "--1", "1.0", "9223372036854775808", "1e3", " 1", "\u{661}"] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn doubles_are_exact() {
        assert_eq!(double(b"42.1"), Some(42.1));
        assert_eq!(double(b"1e-7"), Some(1e-7));
        assert_eq!(double(b"+1.5E+10"), Some(1.5e10));
        assert_eq!(double(b"10"), Some(10.0));
        assert_eq!(double(b"5e-324"), Some(f64::from_bits(1)));
        assert_eq!(double(b"inf"), Some(f64::INFINITY));
        assert_eq!(double(b"-inf"), Some(f64::NEG_INFINITY));
        assert!(double(b"nan").is_some_and(f64::is_nan));
        assert!(double(b"-nan").is_some_and(f64::is_nan));
        assert!(double(b"-0").is_some_and(|zero| zero == 0.0 && zero.is_sign_negative()));
        for text in ["", ".", "1,5", "0x10", "e5", "1e", " 1", "nano"] {
            assert_eq!(double(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_big_number_is_its_text() {
        for text in ["3492890328409238509324850943850943825024385", "-1", "+0"] {
            assert_eq!(big(text.as_bytes()), Some(text));
        }
        for text in ["", "-", "+-1", "1.0", "12a", "0x1"] {
            assert_eq!(big(text.as_bytes()), None, "{text}");
        }
    }
}
