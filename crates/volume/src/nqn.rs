//! NVMe qualified names of volumes.

use std::fmt;

use thiserror::Error;

use crate::{Generation, Slot};

/// NVMe base specification: an NQN has at most 223 bytes.
const MAX_NQN: usize = 223;
/// What this driver appends to a prefix at most: `:` + slot + `.` + 16 hex digits.
const MAX_SUFFIX: usize = 1 + 40 + 1 + 16;

/// An NVMe qualified name of lower-case letters, digits, `.`, `:` and `-`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nqn(String);

/// What the NQN of every volume of this installation begins with, without the `:` before the slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NqnPrefix(String);

/// Not an NQN, or not one of a form that this driver writes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no NQN that can be served: expected nqn.… of a-z, 0-9, '.', ':' and '-', at most {MAX_NQN} bytes"
)]
pub struct NqnError(String);

fn well_formed(text: &str, max: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".:-".contains(&byte);
    text.len() <= max && text.len() > "nqn.".len() && text.starts_with("nqn.") && text.bytes().all(plain)
}

fn refused(text: &str) -> NqnError {
    NqnError(text.chars().take(MAX_NQN + 1).collect())
}

impl Nqn {
    /// Checks an NQN's form.
    ///
    /// # Errors
    /// Where it is too long, does not begin with `nqn.`, or holds another character.
    pub fn parse(text: &str) -> Result<Self, NqnError> {
        if well_formed(text, MAX_NQN) { Ok(Self(text.to_owned())) } else { Err(refused(text)) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl NqnPrefix {
    /// Checks a prefix, leaving room for slot and generation.
    ///
    /// # Errors
    /// As [`Nqn::parse`], and where it ends with `:`.
    pub fn parse(text: &str) -> Result<Self, NqnError> {
        let fits = well_formed(text, MAX_NQN - MAX_SUFFIX) && !text.ends_with(':');
        if fits { Ok(Self(text.to_owned())) } else { Err(refused(text)) }
    }

    /// The NQN of one attachment: `<prefix>:<slot>.<16 hex>`.
    #[must_use]
    pub fn generation(&self, slot: &Slot, generation: Generation) -> Nqn {
        Nqn(format!("{}:{slot}.{generation}", self.0))
    }

    /// The NQN without a generation: `<prefix>:<slot>`, as the Go driver and mode `off` have it.
    #[must_use]
    pub fn fixed(&self, slot: &Slot) -> Nqn {
        Nqn(format!("{}:{slot}", self.0))
    }

    /// The slot and the generation of an NQN of exactly this prefix; `None` for anything foreign.
    #[must_use]
    pub fn slot_of(&self, nqn: &str) -> Option<(Slot, Option<Generation>)> {
        let name = nqn.strip_prefix(&self.0)?.strip_prefix(':')?;
        match name.split_once('.') {
            None => Some((Slot::parse(name).ok()?, None)),
            Some((slot, generation)) => Some((Slot::parse(slot).ok()?, Some(Generation::parse(generation)?))),
        }
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nqn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Nqn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn prefix() -> NqnPrefix {
        NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap()
    }

    #[test]
    fn both_forms_name_their_slot_and_nothing_else_does() {
        let slot = Slot::parse("rds-00112233-abc").unwrap();
        let generation = Generation::from_bits(0xab);
        let named = prefix().generation(&slot, generation);
        assert_eq!(named.as_str(), "nqn.2000-02.com.mikrotik:rds-00112233-abc.00000000000000ab");
        assert_eq!(prefix().slot_of(named.as_str()), Some((slot.clone(), Some(generation))));
        assert_eq!(prefix().slot_of(prefix().fixed(&slot).as_str()), Some((slot, None)));
        for foreign in [
            "nqn.2000-02.com.mikrotik",
            "nqn.2000-02.com.mikrotik:",
            "nqn.2000-02.com.mikrotik2:root",
            "nqn.2000-02.com.mikrotik:root.disk",
            "nqn.2014-08.org.nvmexpress:uuid:1",
        ] {
            assert_eq!(prefix().slot_of(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,300}") {
            let _ = Nqn::parse(&text);
            let _ = NqnPrefix::parse(&text);
            let _ = prefix().slot_of(&text);
        }

        #[test]
        fn a_generation_round_trips(bits: u64) {
            let generation = Generation::from_bits(bits);
            prop_assert_eq!(Generation::parse(&generation.to_string()), Some(generation));
        }
    }
}
