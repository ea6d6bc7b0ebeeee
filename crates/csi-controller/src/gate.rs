//! Whether calls are served: by the leader only, and only after it has read what is attached (attachments.md,
//! "Leadership").
//!
//! ```text
//! Standby ──sends_until is Some──► Reading ──rebuilt──► Leads ──sends_until is None──► Standby (the process ends)
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use volume::Slot;

use crate::lead::Lead;

/// What keeps calls out.
pub(crate) struct Gate {
    lead: Arc<Lead>,
    rebuilt: watch::Sender<bool>,
    /// The highest term that a record must not exceed: the Lease's, or one over what was read.
    term: AtomicU32,
}

impl Gate {
    /// A gate that is open as soon as this process leads: there is nothing to rebuild from.
    pub(crate) fn new(lead: Arc<Lead>) -> Self {
        Self { lead, rebuilt: watch::Sender::new(true), term: AtomicU32::new(0) }
    }

    /// From now on this leadership counts.
    pub(crate) fn follow(&mut self, lead: Arc<Lead>) {
        self.lead = lead;
    }

    /// Calls wait for a rebuild: others may have led before.
    pub(crate) fn require_rebuild(&mut self) {
        self.rebuilt.send_replace(false);
    }

    /// Whether what is attached was read since this process leads.
    pub(crate) fn is_rebuilt(&self) -> bool {
        *self.rebuilt.borrow()
    }

    /// Waits until what is attached was read.
    pub(crate) async fn opened(&self) {
        // It ends only with the sender, which this value holds.
        let _ = self.rebuilt.subscribe().wait_for(|rebuilt| *rebuilt).await;
    }

    /// The highest term in any record was this: what this leader writes is above it.
    pub(crate) fn read(&self, highest_term: u32) {
        if highest_term >= self.lead.term().max(1) {
            // The Lease was made anew, or comes from a backup: what this leader writes must not look older.
            self.term.fetch_max(highest_term.saturating_add(1), Ordering::AcqRel);
        }
    }

    /// What is attached was read, and calls are served from now on.
    pub(crate) fn rebuilt(&self) {
        self.rebuilt.send_replace(true);
    }

    /// The end of a write to anything that the next leader may write too: `deadline`, or this leadership's if that is
    /// earlier.
    pub(crate) fn ends(&self, deadline: Instant) -> Instant {
        deadline.min(self.lead.sends_until().unwrap_or_else(Instant::now))
    }

    /// Whether calls are served now.
    ///
    /// # Errors
    /// UNAVAILABLE, with who may serve them.
    pub(crate) fn check(&self) -> Result<(), Status> {
        if self.lead.sends_until().is_none() {
            let text = "this controller is the standby: another one leads, or which one does is being found out; \
                        the call is tried again";
            return Err(Status::unavailable(text));
        }
        if !self.is_rebuilt() {
            let text =
                "this controller leads and still reads what is attached to whom; the call is tried again";
            return Err(Status::unavailable(text));
        }
        Ok(())
    }

    /// The term for records that are written now.
    pub(crate) fn term(&self) -> u32 {
        self.lead.term().max(self.term.load(Ordering::Acquire))
    }

    /// A record of a higher term was read: the Lease is read again, and the call that met it ends. If the Lease is
    /// still ours (the record was edited, say), the next call goes on above that term.
    pub(crate) fn outranked(&self, slot: &Slot, term: u32) -> Status {
        let own = self.term();
        self.lead.doubt();
        self.term.fetch_max(term.saturating_add(1), Ordering::AcqRel);
        tracing::warn!(%slot, term, own, "a record of a higher term: the Lease is read again");
        Status::unavailable(format!(
            "volume {slot} has a record of term {term}, and this controller leads term {own}: \
             whether it still does is being read again"
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use tonic::Code;

    use super::*;
    use crate::Leadership;

    #[derive(Default)]
    struct Lease {
        until: Mutex<Option<Instant>>,
        doubts: AtomicUsize,
    }

    impl Leadership for Lease {
        fn sends_until(&self) -> Option<Instant> {
            *self.until.lock().unwrap()
        }

        fn term(&self) -> u32 {
            3
        }

        fn doubt(&self) {
            self.doubts.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn calls_pass_only_while_this_process_leads_and_has_read_what_is_attached() {
        let lease = Arc::new(Lease::default());
        let mut gate = Gate::new(Arc::new(Lead::new(lease.clone())));
        gate.require_rebuild();
        assert!(gate.check().unwrap_err().message().contains("standby"));
        *lease.until.lock().unwrap() = Some(Instant::now());
        let reading = gate.check().unwrap_err();
        assert!(reading.message().contains("still reads") && reading.code() == Code::Unavailable);
        gate.rebuilt();
        gate.check().unwrap();
        *lease.until.lock().unwrap() = None;
        assert_eq!(gate.check().unwrap_err().code(), Code::Unavailable);
    }

    #[test]
    fn a_term_is_above_all_that_were_read_and_a_higher_one_makes_the_lease_be_read_again() {
        let (lease, slot) = (Arc::new(Lease::default()), Slot::parse("rds-a").unwrap());
        let gate = Gate::new(Arc::new(Lead::new(lease.clone())));
        for (read, term) in [(0, 3), (2, 3), (3, 4), (9, 10), (5, 10)] {
            gate.read(read);
            assert_eq!(gate.term(), term);
        }
        assert_eq!(gate.outranked(&slot, 12).code(), Code::Unavailable);
        assert_eq!((gate.term(), lease.doubts.load(Ordering::Relaxed)), (13, 1));
    }
}
