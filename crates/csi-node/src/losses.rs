//! Losses of what was not written yet: said where people and alerts look, and each once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use host::Host;
use volume::{Reason, Slot};

use crate::Node;

/// What was given up since the volume was staged, by volume and NQN: a call that gives it up again, because it did not get to
/// its end, loses nothing more.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<BTreeSet<(Slot, String)>>);

impl Losses {
    fn is_news(&self, slot: &Slot, nqn: &str) -> bool {
        self.given_up(|all| all.insert((slot.clone(), nqn.to_owned())))
    }

    /// The volume was staged, or has left: what is given up from here on is something else.
    pub(crate) fn forget(&self, slot: &Slot) {
        self.given_up(|all| all.retain(|(other, _)| other != slot));
    }

    fn given_up<T>(&self, change: impl FnOnce(&mut BTreeSet<(Slot, String)>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<H: Host> Node<H> {
    /// Says that data may have been lost: in the log, by the counter, and on the claim as far as a stage record names it.
    pub(crate) fn say_loss(&self, slot: &Slot, nqn: &str, why: &str) {
        self.metrics.loss();
        tracing::error!(volume_id = %slot, nqn, "data that was not written yet may be lost: {why}");
        if let Ok(Some(record)) = self.records.load(slot) {
            let what = format!("Data that was not written yet may be lost: {why}");
            self.say_of(&record, Reason::UnwrittenDataLost, what);
        }
    }

    /// Says that what a connection had not written is given up, to be called before it is: after a crash in between nothing
    /// would tell it any more.
    pub(crate) fn say_given_up(&self, slot: &Slot, nqn: &str, why: &str) {
        if self.losses.is_news(slot, nqn) {
            self.say_loss(slot, nqn, why);
        }
    }

    /// Says a loss that the kernel told an operation which nobody waited for any more, where no sync comes that would be told.
    /// What was given up is lost already.
    pub(crate) fn say_untold(&self, slot: &Slot, nqn: &str) {
        if let Some(error) = self.host.take_untold(slot) {
            self.say_given_up(slot, nqn, &error.to_string());
        }
    }
}
