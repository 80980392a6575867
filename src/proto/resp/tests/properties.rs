//! Whatever is written is read again, and noise is read as a naive parser reads it.

use super::*;
use proptest::prelude::*;

/// Appends a value in any of the forms that RESP has.
fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => encode::null(out),
        Value::Boolean(value) => encode::boolean(out, *value),
        Value::Integer(value) => encode::integer(out, *value),
        Value::Double(bits) => encode::double(out, f64::from_bits(*bits)),
        Value::BigNumber(text) => encode::big_number(out, text),
        Value::Text(Text::String, bytes) => encode::string(out, bytes),
        Value::Text(kind, bytes) => {
            let (sign, format) = if *kind == Text::Error { ('!', "") } else { ('=', "txt:") };
            let header = format!("{sign}{}\r\n{format}", bytes.len() + format.len());
            out.extend([header.as_bytes(), bytes, b"\r\n"].concat());
        }
        Value::Aggregate(Aggregate::Chunks, chunks) => {
            out.extend(b"$?\r\n");
            for chunk in chunks {
                let from = out.len();
                write(out, chunk);
                out[from] = b';';
            }
            out.extend(b";0\r\n");
        }
        Value::Aggregate(kind, values) => {
            let from = out.len();
            match kind {
                Aggregate::Map | Aggregate::Attribute => encode::map(out, values.len() / 2),
                _ => encode::array(out, values.len()),
            }
            out[from] = match kind {
                Aggregate::Set => b'~',
                Aggregate::Push => b'>',
                Aggregate::Attribute => b'|',
                _ => out[from],
            };
            values.iter().for_each(|value| write(out, value));
        }
    }
}

fn bytes(least: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n')], least..40)
}

fn value() -> impl Strategy<Value = Value> {
    let text = (prop_oneof![Just(Text::String), Just(Text::Verbatim), Just(Text::Error)], bytes(0));
    let chunk = bytes(1).prop_map(|bytes| Value::Text(Text::String, bytes));
    let chunks = prop::collection::vec(chunk, 0..4);
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(|number| Value::Double(number.to_bits())),
        any::<i128>().prop_map(|number| Value::BigNumber(number.to_string())),
        text.prop_map(|(kind, bytes)| Value::Text(kind, bytes)),
        chunks.prop_map(|chunks| Value::Aggregate(Aggregate::Chunks, chunks)),
    ];
    scalar.prop_recursive(4, 40, 6, |inner| {
        let kind = prop_oneof![
            Just(Aggregate::Array),
            Just(Aggregate::Set),
            Just(Aggregate::Push),
            Just(Aggregate::Map)
        ];
        (kind, prop::collection::vec(inner, 0..6)).prop_map(|(kind, mut values)| {
            if kind.has_pairs() {
                values.truncate(values.len() & !1);
            }
            Value::Aggregate(kind, values)
        })
    })
}

const BEGINNINGS: [&str; 8] =
    ["*1\r\n", "*2\r\n", "%1\r\n", "|1\r\n", "*?\r\n", "%?\r\n", "$?\r\n", "$2\r\n"];
const ENDINGS: [&str; 8] = [
    "$2\r\nab\r\n",
    ";2\r\nab\r\n",
    ";0\r\n",
    ".\r\n",
    ":1\r\n",
    "=4\r\ntxt:\r\n",
    "_\r\n",
    "\r\n",
];

/// Something that looks like RESP, for the most part.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(&BEGINNINGS[..]).prop_map(|text| text.as_bytes().to_vec()),
        12 => prop::sample::select(&ENDINGS[..]).prop_map(|text| text.as_bytes().to_vec()),
        6 => prop::sample::select(&b"$*:+-_#,(%~>|=!;."[..]).prop_map(|sign| vec![sign]),
        6 => prop::sample::select(&b"0123?-+tfxe:"[..]).prop_map(|sign| vec![sign]),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Sizes of pieces; one is not 0, or nothing would ever come.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    (prop::collection::vec(0usize..30, 0..8), 1usize..30).prop_map(|(mut sizes, size)| {
        sizes.push(size);
        sizes
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read(values in prop::collection::vec(value(), 0..4), sizes in sizes()) {
        let mut out = Vec::new();
        values.iter().for_each(|value| write(&mut out, value));
        prop_assert_eq!(decode(&out, &sizes, Limits::default()), (values, None));
    }

    #[test]
    fn a_naive_parser_reads_the_same(noise in noise(), sizes in sizes()) {
        let limits = Limits { nesting: 3, string: 5, line: 6 };
        let expected = naive::replies(&noise, limits);
        prop_assert_eq!(decode(&noise, &[noise.len().max(1)], limits), expected.clone());
        prop_assert_eq!(decode(&noise, &sizes, limits), expected);
    }
}
