//! The slot: a disk's name on the device, and at the same time the CSI volume id.

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{ClusterHash, ClusterId};

/// What every slot of this driver begins with.
const PREFIX: &str = "rds-";
/// One report has RouterOS 7.24 refuse more than 32 characters; 4 + 8 + 1 + 19 is just that.
const HASH_CHARACTERS: usize = 19;
/// Slots of the Go driver (`pvc-<uuid>`) have 40 characters.
const MAX_CHARACTERS: usize = 40;

/// A slot name: `[a-z0-9][a-z0-9-]*`, at most 40 characters, safe on every mouth of the device.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(String);

/// Not a slot, so not the id of any volume of this driver.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no volume id: expected 1 to {MAX_CHARACTERS} characters of a-z, 0-9 and -")]
pub struct SlotError(String);

impl Slot {
    /// Checks a slot's form.
    ///
    /// # Errors
    /// Where it is empty, too long, or holds a character outside `[a-z0-9-]`.
    pub fn parse(text: &str) -> Result<Self, SlotError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits =
            (1..=MAX_CHARACTERS).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(plain);
        fits.then(|| Self(text.to_owned())).ok_or_else(|| SlotError(text.chars().take(64).collect()))
    }

    /// The slot of the volume that `cluster` calls `name`: the same at every call, so that
    /// CreateVolume is idempotent by construction (design decision 3).
    #[must_use]
    pub fn for_volume(cluster: &ClusterId, name: &str) -> Self {
        let mut hasher = Sha256::new();
        // The length keeps (a, bc) and (ab, c) apart.
        hasher.update((cluster.as_str().len() as u64).to_be_bytes());
        hasher.update(cluster.as_str());
        hasher.update(name);
        let encoded = data_encoding::BASE32_NOPAD.encode(&hasher.finalize()).to_ascii_lowercase();
        Self(format!("{PREFIX}{}-{}", cluster.hash(), &encoded[..HASH_CHARACTERS]))
    }

    /// The mark of the cluster in the name; `None` for a slot that this driver did not name.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterHash> {
        let (hash, rest) = self.0.strip_prefix(PREFIX)?.split_once('-')?;
        let ours = rest.len() == HASH_CHARACTERS && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        ClusterHash::parse(hash).filter(|_| ours)
    }

    /// The name as the device has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slot_is_stable_short_and_carries_its_cluster() {
        let cluster = ClusterId::parse("a-cluster").unwrap();
        let slot = Slot::for_volume(&cluster, "pvc-0b1c");
        assert_eq!(slot, Slot::for_volume(&cluster, "pvc-0b1c"));
        assert_eq!(slot.as_str().len(), 32);
        assert_eq!(slot.cluster(), Some(cluster.hash()));
        assert_ne!(slot, Slot::for_volume(&cluster, "pvc-0b1d"));
        assert_ne!(slot, Slot::for_volume(&ClusterId::parse("b-cluster").unwrap(), "pvc-0b1c"));
    }

    #[test]
    fn a_slot_of_the_go_driver_parses_and_carries_no_cluster() {
        let slot = Slot::parse("pvc-9f1c6f0e-2f4b-4e8e-8a0e-1b2c3d4e5f60").unwrap();
        assert_eq!(slot.cluster(), None);
    }

    #[test]
    fn hostile_ids_are_no_slots() {
        for text in
            ["", "-a", "../a", "a\"b", "a\nb", "A", "a b", "a$b", "é", &"a".repeat(41), &"x".repeat(300)]
        {
            assert!(Slot::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_round_trips(text in ".{0,60}") {
            if let Ok(slot) = Slot::parse(&text) {
                prop_assert_eq!(slot.as_str(), text);
                let _ = slot.cluster();
            }
        }

        #[test]
        fn every_name_makes_a_slot_that_parses(name in ".{0,300}") {
            let slot = Slot::for_volume(&ClusterId::parse("c").unwrap(), &name);
            prop_assert_eq!(Slot::parse(slot.as_str()), Ok(slot));
        }
    }
}
