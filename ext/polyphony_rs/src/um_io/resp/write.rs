//! `resp_write` and `resp_encode`.

use polyphony_core::proto::resp::{Limits, encode};
use rb_sys::VALUE;

use super::super::UmIo;
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{define, define_singleton, method};
use crate::ruby::{FALSE, NIL, TRUE, protect, value};

/// Strings from this size on go to their place directly.
const LARGE: usize = 16 * 1024;

/// Objects as RESP. It calls no method that a program may have replaced.
struct Encoder {
    /// A String of ours that becomes the result.
    string: VALUE,
    /// What is yet to be appended to it.
    out: Vec<u8>,
    /// Arrays and Hashes inside each other that are left.
    depth: usize,
}

impl Encoder {
    fn add(&mut self, object: VALUE) -> Outcome<()> {
        match object {
            NIL => encode::null(&mut self.out),
            TRUE => encode::boolean(&mut self.out, true),
            FALSE => encode::boolean(&mut self.out, false),
            _ if value::is_string(object) => return self.add_string(object),
            _ if value::is_integer(object) => return self.add_integer(object),
            _ if value::is_float(object) => {
                encode::double(&mut self.out, value::float_of(object));
            }
            _ if value::is_array(object) => return self.inside(|it| it.add_array(object)),
            _ if value::is_hash(object) => return self.inside(|it| it.add_hash(object)),
            _ => return Err(unknown(object)),
        }
        Ok(())
    }

    fn add_string(&mut self, string: VALUE) -> Outcome<()> {
        // SAFETY: it is a String, and nothing of Ruby runs before its bytes are copied.
        let bytes = unsafe { value::bytes(string) };
        if bytes.len() < LARGE {
            encode::string(&mut self.out, bytes);
            return Ok(());
        }
        encode::string_start(&mut self.out, bytes.len());
        self.flush()?;
        let target = self.string;
        // Its bytes stay: the copy shares them.
        protect(|| value::append_string(target, string))?;
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn add_integer(&mut self, integer: VALUE) -> Outcome<()> {
        if let Some(number) = value::fixnum(integer) {
            encode::integer(&mut self.out, number);
            return Ok(());
        }
        let digits = value::text(protect(|| value::digits(integer))?, "number")?;
        match digits.parse() {
            Ok(number) => encode::integer(&mut self.out, number),
            Err(_) => encode::big_number(&mut self.out, &digits),
        }
        Ok(())
    }

    /// Something that holds others. One that holds itself has too many levels.
    fn inside(&mut self, add: impl FnOnce(&mut Self) -> Outcome<()>) -> Outcome<()> {
        self.depth = self.depth.checked_sub(1).ok_or_else(too_deep)?;
        add(self)?;
        self.depth += 1;
        Ok(())
    }

    fn add_array(&mut self, array: VALUE) -> Outcome<()> {
        let count = value::array_len(array);
        encode::array(&mut self.out, count);
        (0..count).try_for_each(|index| self.add(value::at(array, index)))
    }

    fn add_hash(&mut self, hash: VALUE) -> Outcome<()> {
        encode::map(&mut self.out, value::hash_len(hash));
        value::each_pair(hash, |key, value| {
            self.add(key)?;
            self.add(value)
        })
    }

    fn flush(&mut self) -> Outcome<()> {
        let (string, bytes) = (self.string, self.out.as_slice());
        protect(|| value::append(string, bytes))?;
        self.out.clear();
        Ok(())
    }
}

fn unknown(object: VALUE) -> Raise {
    Raise::um_error(format!("RESP has no form for this: {}", value::class_name(object)))
}

fn too_deep() -> Raise {
    let limit = Limits::default().nesting;
    Raise::um_error(format!("more than {limit} Arrays and Hashes inside each other"))
}

/// An object as a new String.
fn encoded(object: VALUE) -> Outcome {
    let string = protect(|| value::string(&[]))?;
    let mut encoder = Encoder { string, out: Vec::new(), depth: Limits::default().nesting };
    encoder.add(object)?;
    encoder.flush()?;
    Ok(string)
}

/// `resp_write(object)`: the number of bytes.
fn resp_write(this: VALUE, object: VALUE) -> Outcome {
    let io = UmIo::of(this)?;
    io.machine()?;
    io.write_buffers(&[encoded(object)?])
}

/// `UM::IO.resp_encode(string, object)`: the string, with the object behind what was in it.
fn resp_encode(_class: VALUE, string: VALUE, object: VALUE) -> Outcome {
    if !value::is_string(string) {
        return Err(Raise::type_error("what is appended to must be a String"));
    }
    value::check_frozen(string);
    let encoded = encoded(object)?;
    protect(|| value::append_string(string, encoded))
}

pub(super) fn init(class: VALUE) {
    define(class, c"resp_write", method!(resp_write, 1));
    define_singleton(class, c"resp_encode", method!(resp_encode, 2));
}
