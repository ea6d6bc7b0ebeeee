//! Whether this process leads, as far as it can know: a doubt stops it until the Lease was seen to be renewed.
//!
//! A process that stood still with its whole machine believes in a lease that has long been another's: what it can
//! see is a record that the other one wrote (attachments.md, "Leadership").

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Leadership;

/// Renewals that end a doubt: the first that is seen may have been under way when the doubt came.
const RENEWALS: u8 = 2;

/// What a renewal adds at least; less is the difference between two clocks that are read one after the other.
const RENEWED: Duration = Duration::from_millis(500);

/// The leadership with its doubts.
pub(crate) struct Lead {
    leadership: Arc<dyn Leadership>,
    doubt: Mutex<Option<Doubt>>,
}

struct Doubt {
    until: Instant,
    renewals: u8,
}

impl Lead {
    pub(crate) fn new(leadership: Arc<dyn Leadership>) -> Self {
        Self { leadership, doubt: Mutex::default() }
    }

    /// Until when requests may be sent; `None`: this process does not lead, or it is doubted.
    pub(crate) fn sends_until(&self) -> Option<Instant> {
        let until = self.leadership.sends_until()?;
        let mut doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Doubt { until: seen, renewals }) = &mut *doubt else { return Some(until) };
        if until >= *seen + RENEWED {
            (*seen, *renewals) = (until, *renewals + 1);
        }
        if *renewals < RENEWALS {
            return None;
        }
        *doubt = None;
        Some(until)
    }

    /// The term of this leadership; 0 without Kubernetes.
    pub(crate) fn term(&self) -> u32 {
        self.leadership.term()
    }

    /// From now on nothing is sent until the Lease was renewed.
    pub(crate) fn doubt(&self) {
        if let Some(until) = self.leadership.sends_until() {
            let mut doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
            doubt.get_or_insert(Doubt { until, renewals: 0 });
        }
        self.leadership.doubt();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    struct Lease(Mutex<Option<Instant>>);

    impl Leadership for Lease {
        fn sends_until(&self) -> Option<Instant> {
            *self.0.lock().unwrap()
        }

        fn term(&self) -> u32 {
            3
        }

        fn doubt(&self) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_doubt_ends_with_the_second_renewal_and_not_with_the_jitter_of_clocks() {
        let lease = Arc::new(Lease(Mutex::new(None)));
        let set = |seconds: u64, nanoseconds: u32| {
            *lease.0.lock().unwrap() = Some(Instant::now() + Duration::new(seconds, nanoseconds));
        };
        let lead = Lead::new(lease.clone());
        assert_eq!(lead.sends_until(), None);
        set(10, 0);
        assert!(lead.sends_until().is_some());
        lead.doubt();
        for (seconds, nanoseconds, leads) in
            [(10, 0, false), (10, 900, false), (15, 0, false), (15, 9, false), (20, 0, true)]
        {
            set(seconds, nanoseconds);
            assert_eq!(lead.sends_until().is_some(), leads, "{seconds} s");
        }
    }
}
