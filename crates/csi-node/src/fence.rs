//! Outage or fence (node.md rule 5): may what is unwritten be given up?
//!
//! Only a word from outside decides that, never a path that does not answer. The operator's word is
//! one; a live GET of the VolumeAttachment will be the other.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The generations that the operator declared fenced, by NQN: a word for one attachment is none for the next.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    declared: Mutex<BTreeSet<String>>,
}

impl Fences {
    /// Takes the operator's word for these generations.
    pub(crate) fn declare(&self, nqns: impl IntoIterator<Item = String>) {
        self.lock().extend(nqns);
    }

    /// Whether these generations, one at least, are all known to be fenced.
    pub(crate) fn holds_for<'a>(&self, nqns: impl IntoIterator<Item = &'a str>) -> bool {
        let declared = self.lock();
        let mut nqns = nqns.into_iter().peekable();
        nqns.peek().is_some() && nqns.all(|nqn| declared.contains(nqn))
    }

    /// Forgets the word: the generation is off this node, and a fixed NQN may come back as another attachment;
    /// or its path is live again, and the word was for an outage that is over.
    pub(crate) fn forget<'a>(&self, nqns: impl IntoIterator<Item = &'a str>) {
        let mut declared = self.lock();
        for nqn in nqns {
            declared.remove(nqn);
        }
    }

    /// The set is whole after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
