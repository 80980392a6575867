//! Appends values to a buffer, in their RESP 3 form.

use std::io::Write;

/// `_`.
pub fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"_\r\n");
}

/// `#t` or `#f`.
pub fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" });
}

/// `:n`.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    out.push(b':');
    if value < 0 {
        out.push(b'-');
    }
    digits(out, value.unsigned_abs());
    line_end(out);
}

/// `,x`: the fewest digits that are read back as the same double.
pub fn double(out: &mut Vec<u8>, value: f64) {
    // Without an exponent some doubles have hundreds of digits.
    let short = value == 0.0 || (1e-5..1e16).contains(&value.abs());
    // Nothing fails to be written to memory.
    let _ = if value.is_nan() {
        out.write_all(b",nan\r\n")
    } else if short || value.is_infinite() {
        write!(out, ",{value}\r\n")
    } else {
        write!(out, ",{value:e}\r\n")
    };
}

/// `(n`. The text is digits, perhaps with a sign before them; that is up to the caller.
pub fn big_number(out: &mut Vec<u8>, text: &str) {
    out.push(b'(');
    out.extend_from_slice(text.as_bytes());
    line_end(out);
}

/// `$len` and the bytes.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 32);
    header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    line_end(out);
}

/// `$len`: the bytes, and a CR and LF, are to follow.
pub fn string_start(out: &mut Vec<u8>, len: usize) {
    header(out, b'$', len);
}

/// `*n`, for so many elements.
pub fn array(out: &mut Vec<u8>, count: usize) {
    header(out, b'*', count);
}

/// `%n`, for so many pairs.
pub fn map(out: &mut Vec<u8>, count: usize) {
    header(out, b'%', count);
}

fn header(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    digits(out, len as u64);
    line_end(out);
}

fn line_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

fn digits(out: &mut Vec<u8>, mut value: u64) {
    // As many as 64 bits can have.
    let mut text = [b'0'; 20];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] += (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::resp::number;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before ".to_vec();
        write(&mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        text.strip_prefix("before ").expect("appended").to_owned()
    }

    #[test]
    fn a_command_is_an_array_of_strings() {
        let command = written(|out| {
            array(out, 2);
            string(out, b"get");
            string(out, b"");
        });
        assert_eq!(command, "*2\r\n$3\r\nget\r\n$0\r\n\r\n");
        assert_eq!(written(|out| string_start(out, 100)), "$100\r\n");
    }

    #[test]
    fn every_type_has_its_form() {
        assert_eq!(written(null), "_\r\n");
        assert_eq!(written(|out| boolean(out, true)), "#t\r\n");
        assert_eq!(written(|out| boolean(out, false)), "#f\r\n");
        assert_eq!(written(|out| map(out, 10)), "%10\r\n");
        assert_eq!(written(|out| big_number(out, "-123")), "(-123\r\n");
    }

    #[test]
    fn integers_have_all_their_digits() {
        for number in [0, 9, 10, -1, 42, 100, i64::MAX, i64::MIN] {
            assert_eq!(written(|out| integer(out, number)), format!(":{number}\r\n"));
        }
    }

    #[test]
    fn doubles_are_short() {
        let cases = [
            (42.1, "42.1"),
            (42.0, "42"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e15, "1000000000000000"),
            (1e16, "1e16"),
            (1.5e300, "1.5e300"),
            (1e-5, "0.00001"),
            (-2.5e-6, "-2.5e-6"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ];
        for (number, text) in cases {
            assert_eq!(written(|out| double(out, number)), format!(",{text}\r\n"));
        }
    }

    proptest! {
        #[test]
        fn doubles_come_back_as_they_were(bits: u64) {
            let number = f64::from_bits(bits);
            let text = written(|out| double(out, number));
            prop_assert!(text.len() < 32, "{text}");
            let back = number::double(text[1..].trim_end().as_bytes()).expect("a number");
            prop_assert!(back.to_bits() == bits || (back.is_nan() && number.is_nan()));
        }
    }
}
