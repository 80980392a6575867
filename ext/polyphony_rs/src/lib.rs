//! Ruby bindings.
use magnus::{Error, Ruby};

#[magnus::init]
fn init(ruby: &Ruby) -> Result<(), Error> {
    ruby.define_module("PolyphonySkeleton")?;
    Ok(())
}
