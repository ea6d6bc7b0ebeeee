//! When volumes were last detached: a publish soon after is a hand-off, which is counted (requirements R17, R22) and
//! needs no permission.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use volume::Slot;

/// Until when each volume that was detached lately counts as being handed off.
#[derive(Default)]
pub(crate) struct HandOffs {
    until: Mutex<HashMap<Slot, Instant>>,
}

impl HandOffs {
    /// The last holder of a volume is off.
    pub(crate) fn detached(&self, slot: &Slot, grace: Duration) {
        let now = Instant::now();
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, until| *until > now);
        until.insert(slot.clone(), now + grace);
    }

    /// A node got the volume; true within the grace after its last detach.
    pub(crate) fn attached(&self, slot: &Slot) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner).remove(slot);
        until.is_some_and(|until| until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hand_off_is_a_publish_within_the_grace_and_counts_once() {
        let (hand_offs, slot) = (HandOffs::default(), Slot::parse("rds-a").unwrap());
        let grace = Duration::from_secs(30);
        assert!(!hand_offs.attached(&slot));
        hand_offs.detached(&slot, grace);
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(hand_offs.attached(&slot) && !hand_offs.attached(&slot));
        hand_offs.detached(&slot, grace);
        tokio::time::advance(grace).await;
        assert!(!hand_offs.attached(&slot));
    }
}
