//! Command line options of the form `--name value`.

use crate::Failure;
use std::str::FromStr;

/// The options given, in order; the last one of a name counts.
pub struct Options(Vec<(String, String)>);

impl Options {
    /// Takes `words` apart, refusing names that are not in `known`.
    pub fn parse(mut words: impl Iterator<Item = String>, known: &[&str]) -> Result<Self, Failure> {
        let mut found = Vec::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").filter(|name| known.contains(name));
            let name = name.ok_or_else(|| format!("unknown option {word}, known: {known:?}"))?;
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            found.push((name.to_owned(), value));
        }
        Ok(Self(found))
    }

    /// The value of `name`, or `default` where it wasn't given.
    pub fn get<T: FromStr>(&self, name: &str, default: T) -> Result<T, Failure> {
        match self.0.iter().rev().find(|(given, _)| given == name) {
            None => Ok(default),
            Some((_, text)) => {
                text.parse().map_err(|_| format!("--{name}: not understood: {text}").into())
            }
        }
    }
}
