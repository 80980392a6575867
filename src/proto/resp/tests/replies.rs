//! What comes of which bytes.

use super::*;

/// Decodes a stream at once, and checks that pieces make no difference.
fn decode_all(text: &str) -> Outcome {
    let bytes = text.as_bytes();
    let limits = Limits::default();
    let whole = decode(bytes, &[bytes.len().max(1)], limits);
    for size in 1..bytes.len().min(40) {
        assert_eq!(decode(bytes, &[size], limits), whole, "pieces of {size}");
    }
    whole
}

/// The replies of a stream without errors.
fn replies(text: &str) -> Vec<Value> {
    let (replies, error) = decode_all(text);
    assert_eq!(error, None);
    replies
}

fn reply(text: &str) -> Value {
    let mut replies = replies(text);
    assert_eq!(replies.len(), 1, "{replies:?}");
    replies.remove(0)
}

fn string(text: &str) -> Value {
    Value::Text(Text::String, text.into())
}

fn strings(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| string(text)).collect()
}

fn error(text: &str) -> RespError {
    decode_all(text).1.expect("an error")
}

#[test]
fn lines_are_values() {
    assert_eq!(reply("+OK\r\n"), string("OK"));
    assert_eq!(reply("+\r\n"), string(""));
    assert_eq!(reply("-ERR no\r\n"), Value::Text(Text::Error, b"ERR no".into()));
    assert_eq!(reply(":-42\r\n"), Value::Integer(-42));
    assert_eq!(reply(":+42\r\n"), Value::Integer(42));
    assert_eq!(reply(",1.5e3\r\n"), Value::Double(1500f64.to_bits()));
    assert_eq!(reply(",-inf\r\n"), Value::Double(f64::NEG_INFINITY.to_bits()));
    assert_eq!(replies("#t\r\n#f\r\n"), [Value::Boolean(true), Value::Boolean(false)]);
    let big = "-123456789012345678901234567890";
    assert_eq!(reply(&format!("({big}\r\n")), Value::BigNumber(big.into()));
}

#[test]
fn nothing_has_three_forms() {
    assert_eq!(replies("_\r\n$-1\r\n*-1\r\n"), [Value::Null, Value::Null, Value::Null]);
    assert_eq!(
        reply("*3\r\n$-1\r\n_\r\n*-1\r\n"),
        Value::Aggregate(Aggregate::Array, vec![Value::Null; 3])
    );
}

#[test]
fn strings_come_with_their_length() {
    assert_eq!(reply("$3\r\nfoo\r\n"), string("foo"));
    assert_eq!(reply("$0\r\n\r\n"), string(""));
    assert_eq!(reply("$6\r\n\r\n$1\r\n\r\n"), string("\r\n$1\r\n"));
    assert_eq!(reply("=7\r\ntxt:foo\r\n"), Value::Text(Text::Verbatim, b"foo".into()));
    assert_eq!(reply("=4\r\nmkd:\r\n"), Value::Text(Text::Verbatim, b"".into()));
    assert_eq!(reply("!6\r\nERR\r\nx\r\n"), Value::Text(Text::Error, b"ERR\r\nx".into()));
}

#[test]
fn a_string_that_is_there_takes_one_step() {
    let mut decoder = Decoder::default();
    let event = Event::Text { kind: Text::String, bytes: b"foo" };
    for bytes in ["$3\r\nfoo\r\n", "$3\r\nfoo\r\n+"] {
        assert_eq!(decoder.next(bytes.as_bytes()), Ok(Step::Event { event, consumed: 9 }));
        assert!(decoder.is_between_replies());
    }
}

#[test]
fn a_string_that_is_not_there_is_the_callers_to_take() {
    let mut decoder = Decoder::default();
    let event = Event::TextStart { kind: Text::Verbatim, len: 300_000_000 };
    let step = decoder.next(b"=300000004\r\ntxt:fo");
    assert_eq!(step, Ok(Step::Event { event, consumed: 16 }));
    assert!(!decoder.is_between_replies());
    assert_eq!(decoder.next(b"\r"), Ok(Step::NeedMore));
    assert_eq!(decoder.next(b"\r\n+"), Ok(Step::Event { event: Event::TextEnd, consumed: 2 }));
    assert!(decoder.is_between_replies());
}

#[test]
fn aggregates_hold_what_is_inside() {
    let inner = Value::Aggregate(Aggregate::Map, vec![string("b"), Value::Integer(1)]);
    let outer = Value::Aggregate(Aggregate::Array, vec![string("a"), inner, Value::Null]);
    assert_eq!(reply("*3\r\n+a\r\n%1\r\n+b\r\n:1\r\n_\r\n"), outer);
    let set = Value::Aggregate(Aggregate::Set, strings(&["a", "b"]));
    assert_eq!(reply("~2\r\n+a\r\n+b\r\n"), set);
    let push = Value::Aggregate(Aggregate::Push, strings(&["message", "channel", "text"]));
    assert_eq!(reply(">3\r\n+message\r\n+channel\r\n$4\r\ntext\r\n"), push);
}

#[test]
fn empty_aggregates_are_complete_at_once() {
    for (text, kind) in [
        ("*0\r\n", Aggregate::Array),
        ("~0\r\n", Aggregate::Set),
        ("%0\r\n", Aggregate::Map),
        ("*?\r\n.\r\n", Aggregate::Array),
    ] {
        assert_eq!(reply(text), Value::Aggregate(kind, vec![]));
    }
    let nested =
        Value::Aggregate(Aggregate::Array, vec![Value::Aggregate(Aggregate::Array, vec![])]);
    assert_eq!(reply("*1\r\n*0\r\n"), nested);
}

#[test]
fn an_attribute_comes_before_its_reply_at_top_level() {
    let attribute = Value::Aggregate(Aggregate::Attribute, strings(&["ttl", "3600"]));
    assert_eq!(replies("|1\r\n+ttl\r\n+3600\r\n+value\r\n"), [attribute, string("value")]);
}

#[test]
fn a_stream_may_not_end_between_an_attribute_and_its_reply() {
    let mut decoder = Decoder::default();
    let mut rest = &b"|0\r\n|1\r\n+k\r\n+v\r\n*1\r\n:1\r\n"[..];
    let mut between = Vec::new();
    while let Ok(Step::Event { consumed, .. }) = decoder.next(rest) {
        rest = &rest[consumed..];
        between.push(decoder.is_between_replies());
    }
    let (last, before) = between.split_last().expect("events");
    assert_eq!((*last, before.contains(&true)), (true, false));
}

#[test]
fn an_attribute_inside_is_no_element() {
    let expected = Value::Aggregate(Aggregate::Array, strings(&["a", "b"]));
    assert_eq!(reply("*2\r\n|1\r\n+k\r\n*1\r\n+v\r\n+a\r\n|0\r\n+b\r\n"), expected);
    let map = Value::Aggregate(Aggregate::Map, strings(&["a", "b"]));
    assert_eq!(reply("%?\r\n+a\r\n|1\r\n+k\r\n+v\r\n+b\r\n.\r\n"), map);
    // One about a key of another one.
    let attribute = Value::Aggregate(Aggregate::Attribute, strings(&["k", "v"]));
    assert_eq!(reply("|1\r\n|1\r\n+x\r\n+y\r\n+k\r\n+v\r\n"), attribute);
}

#[test]
fn streamed_aggregates_end_where_they_say() {
    let expected = Value::Aggregate(Aggregate::Array, strings(&["a", "b"]));
    assert_eq!(reply("*?\r\n+a\r\n+b\r\n.\r\n"), expected);
    let map = Value::Aggregate(Aggregate::Map, vec![string("a"), expected]);
    assert_eq!(reply("%?\r\n+a\r\n*?\r\n+a\r\n+b\r\n.\r\n.\r\n"), map);
}

#[test]
fn streamed_strings_come_in_chunks() {
    let chunks = Value::Aggregate(Aggregate::Chunks, strings(&["Hell", "o"]));
    assert_eq!(reply("$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n"), chunks);
    let empty = Value::Aggregate(Aggregate::Chunks, vec![]);
    let expected = Value::Aggregate(Aggregate::Array, vec![empty, string("b")]);
    assert_eq!(reply("*2\r\n$?\r\n;0\r\n+b\r\n"), expected);
}

#[test]
fn a_reply_that_is_cut_off_is_not_there_yet() {
    let text = "*2\r\n%1\r\n$1\r\na\r\n|1\r\n+k\r\n+v\r\n=5\r\ntxt:b\r\n$?\r\n;2\r\ncd\r\n;0\r\n";
    for end in 0..text.len() {
        assert_eq!(replies(&text[..end]), [], "{end} bytes");
    }
    assert_eq!(replies(text).len(), 1);
}

#[test]
fn what_is_no_resp_is_refused() {
    let cases = [
        ("HTTP/1.1 400", RespError::Type(b'H')),
        ("\r\n", RespError::Type(b'\r')),
        ("+a\n", RespError::LineEnd),
        ("+a\rb", RespError::LineEnd),
        ("_x\r\n", RespError::Null),
        ("#\r\n", RespError::Boolean),
        ("#true\r\n", RespError::Boolean),
        (":\r\n", RespError::Integer),
        (":9223372036854775808\r\n", RespError::Integer),
        (",1,5\r\n", RespError::Double),
        ("(12x\r\n", RespError::BigNumber),
        ("$\r\n", RespError::Length),
        ("$-2\r\n", RespError::Length),
        ("$+1\r\n", RespError::Length),
        ("!-1\r\n", RespError::Length),
        ("%-1\r\n", RespError::Length),
        ("*18446744073709551616\r\n", RespError::Length),
        ("%9223372036854775808\r\n", RespError::Length),
        ("$1\r\nab\r\n", RespError::StringEnd),
        ("$2\r\na\r\n\r\n", RespError::StringEnd),
        ("=3\r\ntxt\r\n", RespError::Format),
        ("=5\r\ntext:\r\n", RespError::Format),
        (";1\r\na\r\n", RespError::Chunk),
        ("$?\r\n+a\r\n", RespError::Chunk),
        ("$?\r\n;?\r\n", RespError::Length),
        (".\r\n", RespError::End),
        ("*1\r\n.\r\n", RespError::End),
        ("*?\r\n.x\r\n", RespError::End),
        ("%?\r\n+a\r\n.\r\n", RespError::Pair),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text:?}");
        assert!(expected.to_string().starts_with("RESP: "));
    }
}

#[test]
fn replies_before_an_error_are_had() {
    assert_eq!(decode_all("+a\r\n:x\r\n+b\r\n"), (strings(&["a"]), Some(RespError::Integer)));
}

#[test]
fn nesting_has_a_limit() {
    let limit = Limits::default().nesting;
    assert_eq!(replies(&"*1\r\n".repeat(limit)), []);
    assert_eq!(error(&"*1\r\n".repeat(limit + 1)), RespError::Nesting(limit));
    assert_eq!(error(&"|?\r\n".repeat(limit + 1)), RespError::Nesting(limit));
    // A string is no level.
    assert_eq!(replies(&format!("{}$?\r\n;0\r\n", "*1\r\n".repeat(limit))).len(), 1);
}

#[test]
fn strings_have_a_limit() {
    let limits = Limits { string: 10, ..Limits::default() };
    let outcome = |text: &str| decode(text.as_bytes(), &[3], limits).1;
    assert_eq!(outcome("$10\r\n0123456789\r\n"), None);
    assert_eq!(outcome("$?\r\n;5\r\n01234\r\n;5\r\n01234\r\n;0\r\n"), None);
    for text in [
        "$11\r\n",
        "!11\r\n",
        "=11\r\n",
        "$?\r\n;5\r\n01234\r\n;6\r\n",
        "$?\r\n;18446744073709551615\r\n",
    ] {
        assert_eq!(outcome(text), Some(RespError::StringLength(10)), "{text:?}");
    }
}

#[test]
fn lines_have_a_limit() {
    let limits = Limits { line: 5, ..Limits::default() };
    for size in [1, 3, 100] {
        let outcome = |text: &str| decode(text.as_bytes(), &[size], limits).1;
        assert_eq!(outcome("+12345\r\n"), None);
        assert_eq!(outcome("+12345\r"), None);
        for text in ["+123456", "+123456\r\n", ":000001\r\n"] {
            assert_eq!(outcome(text), Some(RespError::LineLength(5)), "{text:?}");
        }
    }
}

#[test]
fn a_count_is_no_promise() {
    let step = Decoder::default().next(b"*18446744073709551615\r\n");
    let event = Event::Open { kind: Aggregate::Array, count: Some(u64::MAX) };
    assert_eq!(step, Ok(Step::Event { event, consumed: 23 }));
}
