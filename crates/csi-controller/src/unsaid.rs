//! Writes whose outcome was not known when their call ended: if the call that is made again finds them done, what
//! happened is said then, and said once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use attachment::{Leaving, Request};
use volume::{NodeId, Record, Slot};

/// The records from before such writes.
#[derive(Default)]
pub(crate) struct Unsaid {
    before: Mutex<HashMap<Slot, (Who, Record)>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Who {
    Comes(NodeId),
    Leaves(Leaving),
}

impl Unsaid {
    /// A write over this record has an outcome that is not known.
    pub(crate) fn unknown(&self, slot: &Slot, request: &Request, before: &Record) {
        if let Some(who) = who(request) {
            let mut unsaid = self.before.lock().unwrap_or_else(PoisonError::into_inner);
            unsaid.entry(slot.clone()).or_insert_with(|| (who, before.clone()));
        }
    }

    /// A call found nothing to do: the record from before its own earlier try, if that did it.
    pub(crate) fn done(&self, slot: &Slot, request: &Request) -> Option<Record> {
        let (earlier, before) = self.before.lock().unwrap_or_else(PoisonError::into_inner).remove(slot)?;
        (who(request) == Some(earlier)).then_some(before)
    }

    /// Another write has come since, which says what happened by itself.
    pub(crate) fn overwritten(&self, slot: &Slot) {
        self.before.lock().unwrap_or_else(PoisonError::into_inner).remove(slot);
    }
}

fn who(request: &Request) -> Option<Who> {
    match request {
        Request::Publish(publish) => Some(Who::Comes(publish.node.clone())),
        Request::Unpublish(unpublish) => Some(Who::Leaves(unpublish.leaving.clone())),
        Request::Reconcile(_) => None,
    }
}
