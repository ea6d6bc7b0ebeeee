//! The generation of an attachment.

use std::fmt;

use rand::TryRngCore as _;
use rand::rngs::OsRng;

/// 64 random bits that name one uninterrupted attachment, in the NQN and in the record.
///
/// Never a counter: a counter would repeat after delete and create of one name, and an old host's
/// queued writes go out before identities are compared (attachments.md).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation(u64);

impl Generation {
    /// A generation from the given bits: for properties and replays.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// A new generation from the kernel's random source.
    ///
    /// # Panics
    /// Where the kernel has no randomness to give: a guessed generation would be no fence.
    #[must_use]
    #[expect(clippy::expect_used, reason = "without randomness there is no fence, so no attachment")]
    pub fn random() -> Self {
        Self(OsRng.try_next_u64().expect("getrandom(2) answers"))
    }

    /// Reads exactly 16 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
