//! Names of headers and methods as Ruby Strings: frozen, one object for each.

use std::sync::OnceLock;

use rb_sys::VALUE;

use crate::ruby::{typed, value};

/// Longer names cost a String more.
const SHORT: usize = 64;

/// What nearly all headers are called, in lower case.
const HEADERS: &[&str] = &[
    "host",
    "user-agent",
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "referer",
    "origin",
    "cache-control",
    "authorization",
    "transfer-encoding",
    "expect",
    "range",
    "if-none-match",
    "if-modified-since",
    "upgrade",
    "upgrade-insecure-requests",
    "pragma",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
    "x-request-id",
    "x-requested-with",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "dnt",
    "te",
    "accept-charset",
];

const METHODS: &[&str] =
    &["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];

/// The Strings, kept.
struct Kept {
    headers: Vec<VALUE>,
    methods: Vec<VALUE>,
    method: VALUE,
    path: VALUE,
    protocol: VALUE,
    versions: [VALUE; 2],
}

static KEPT: OnceLock<Kept> = OnceLock::new();

fn kept(text: &str) -> VALUE {
    let string = value::interned(text);
    typed::keep(string);
    string
}

fn strings() -> &'static Kept {
    KEPT.get_or_init(|| Kept {
        headers: HEADERS.iter().map(|name| kept(name)).collect(),
        methods: METHODS.iter().map(|name| kept(name)).collect(),
        method: kept(":method"),
        path: kept(":path"),
        protocol: kept(":protocol"),
        versions: ["HTTP/1.0", "HTTP/1.1"].map(kept),
    })
}

/// Makes them; during initialisation.
pub(super) fn init() {
    strings();
}

/// The keys of what is in the request line: method, target, version.
pub(super) fn of_request_line() -> [VALUE; 3] {
    let kept = strings();
    [kept.method, kept.path, kept.protocol]
}

pub(super) fn version(version: polyphony_core::proto::http1::Version) -> VALUE {
    strings().versions[usize::from(version == polyphony_core::proto::http1::Version::Http11)]
}

pub(super) fn method(name: &str) -> VALUE {
    match METHODS.iter().position(|known| *known == name) {
        Some(index) => strings().methods[index],
        None => value::interned(name),
    }
}

/// A header's name in lower case. Unwinds when memory runs out.
pub(super) fn header(name: &str) -> VALUE {
    if let Some(index) = HEADERS.iter().position(|known| known.eq_ignore_ascii_case(name)) {
        return strings().headers[index];
    }
    let mut buffer = [0; SHORT];
    if let Some(lower) = buffer.get_mut(..name.len()) {
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        // Names are ASCII.
        return std::str::from_utf8(lower).map_or(crate::ruby::NIL, value::interned);
    }
    let string = value::utf8(name);
    // SAFETY: a String that nobody else knows; nothing of Ruby runs meanwhile.
    unsafe { value::bytes_mut(string) }.make_ascii_lowercase();
    string
}
