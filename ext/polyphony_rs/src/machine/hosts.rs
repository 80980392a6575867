//! Hosts: `resolve`, and the addresses behind a host and a port.

use std::ops::ControlFlow;

use polyphony_core::net::SockAddr;
use polyphony_core::resolve::Family;
use rb_sys::VALUE;

use super::Machine;
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, value};

/// A port number; TypeError or ArgumentError otherwise.
pub(super) fn port_of(argument: VALUE) -> Outcome<u16> {
    let port = value::int32(argument, "port")?;
    u16::try_from(port).map_err(|_| Raise::argument_error(format!("port {port} is out of range")))
}

impl Machine {
    /// The addresses of a host, looked up by name where it is no number; none where it is not
    /// found. Broken off with the value that the fiber was scheduled with meanwhile.
    pub(super) fn addresses(
        &self,
        host: &str,
        port: u16,
    ) -> Outcome<ControlFlow<VALUE, Vec<SockAddr>>> {
        if let Some(addr) = SockAddr::parse(host, port) {
            return Ok(ControlFlow::Continue(vec![addr]));
        }
        let found = self.resolve(host, Family::Any)?;
        let parse =
            |ips: Vec<String>| ips.iter().filter_map(|ip| SockAddr::parse(ip, port)).collect();
        Ok(found.map_continue(parse))
    }
}

/// `resolve(name, type = :A)`: the addresses of a host, as Strings.
fn resolve(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(1, 2)?;
    let machine = Machine::of(this)?;
    let name = value::text(args.get(0), "name")?;
    let family = match args.get(1) {
        NIL => Family::V4,
        given if given == value::symbol(c"A") => Family::V4,
        given if given == value::symbol(c"AAAA") => Family::V6,
        _ => return Err(Raise::argument_error("type must be :A or :AAAA")),
    };
    Ok(match machine.resolve(&name, family)? {
        ControlFlow::Continue(addresses) => value::texts(&addresses),
        ControlFlow::Break(value) => value,
    })
}

pub(super) fn init(class: VALUE) {
    define(class, c"resolve", method!(resolve, -1));
}
