//! Losses that the kernel told an operation which nobody waited for any more.
//!
//! It tells each once (node.md K9): the next sync of the same file system ends well. So what was told to nobody is kept for
//! the next operation that asks whether everything is written.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use volume::Slot;

use crate::op::{Op, Output};
use crate::{Error, ErrorKind, Result};

/// One loss a volume: the first is the one that matters.
#[derive(Debug, Default)]
pub(crate) struct Untold(Mutex<BTreeMap<Slot, Error>>);

impl Untold {
    /// Keeps the loss that an operation ended with, awaited or not.
    pub(crate) fn ended(&self, slot: &Slot, result: &Result<Output>) {
        if let Err(error) = result
            && error.kind == ErrorKind::Unwritten
        {
            self.losses().entry(slot.clone()).or_insert_with(|| error.clone());
        }
    }

    /// What a caller is answered that waited for its operation.
    pub(crate) fn answer(&self, slot: &Slot, op: &Op, result: Result<Output>) -> Result<Output> {
        match result {
            Err(error) if error.kind == ErrorKind::Unwritten => {
                self.take(slot);
                Err(error)
            }
            Ok(output) if op.tells_losses() => self.take(slot).map_or(Ok(output), Err),
            other => other,
        }
    }

    /// The loss of a volume that was told to nobody; once.
    pub(crate) fn take(&self, slot: &Slot) -> Option<Error> {
        self.losses().remove(slot)
    }

    fn losses(&self) -> MutexGuard<'_, BTreeMap<Slot, Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_loss_that_was_told_to_nobody_is_told_once_to_who_asks_for_losses() {
        let (untold, slot, other) = (Untold::default(), Slot::parse("a").unwrap(), Slot::parse("b").unwrap());
        let (sync, usage) = (Op::Sync { mountpoint: "/m".into() }, Op::Usage { mountpoint: "/m".into() });
        let lost: Result<Output> = Err(Error::new(ErrorKind::Unwritten, "syncfs /m: EIO"));
        untold.ended(&slot, &lost);
        untold.ended(&slot, &Err(Error::new(ErrorKind::Unwritten, "a later one")));
        untold.ended(&other, &Err(Error::new(ErrorKind::Busy, "no loss")));
        assert_eq!(untold.answer(&slot, &usage, Ok(Output::Done)), Ok(Output::Done));
        assert_eq!(untold.answer(&other, &sync, Ok(Output::Done)), Ok(Output::Done));
        assert_eq!(untold.answer(&slot, &sync, Ok(Output::Done)), lost);
        assert_eq!(untold.answer(&slot, &sync, Ok(Output::Done)), Ok(Output::Done));

        untold.ended(&slot, &lost);
        assert_eq!(untold.answer(&slot, &sync, lost.clone()), lost, "told by its own operation");
        assert_eq!(untold.take(&slot), None);
    }
}
