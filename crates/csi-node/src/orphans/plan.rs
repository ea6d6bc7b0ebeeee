//! Which connections may be orphans, and what is due of each: pure.
//!
//! ```text
//! (unseen) ──seen──► reported ──grace──► due ──kept──► due again after RETRY
//!     ▲                  └──accounted for, or gone──────┘
//!     └─────────────────────────────┘
//! ```

use std::collections::BTreeMap;

use host::Subsystem;
use tokio::time::{Duration, Instant};
use volume::{NqnPrefix, Slot};

/// How soon one that is kept is looked at again: its attachment may end, or the API server answer. Each look is a GET.
pub(super) const RETRY: Duration = Duration::from_secs(60);

/// A connection that nothing accounts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Orphan {
    pub(super) nqn: String,
    pub(super) slot: Slot,
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is new: say it.
    Report(Orphan),
    /// Its grace is over: cut it, if it may be.
    Settle(Orphan),
}

/// The connections under exactly this prefix whose slot bears the mark of a cluster. One without a mark, as the Go
/// driver's, may be any cluster's, or the disk that this node boots from.
pub(super) fn marked(subsystems: &[Subsystem], prefix: &NqnPrefix) -> Vec<Orphan> {
    let connected = subsystems.iter().filter(|subsystem| !subsystem.controllers.is_empty());
    let ours = connected.filter_map(|subsystem| {
        let (slot, _) = prefix.slot_of(&subsystem.nqn)?;
        slot.cluster()?;
        Some(Orphan { nqn: subsystem.nqn.clone(), slot })
    });
    ours.collect()
}

/// When each orphan is due.
#[derive(Debug, Default)]
pub(super) struct Sightings(BTreeMap<String, Instant>);

impl Sightings {
    /// What is due of the orphans that are there now. Those that are not are forgotten, so a grace is one of unbroken
    /// sight.
    pub(super) fn see(&mut self, orphans: Vec<Orphan>, now: Instant, grace: Duration) -> Vec<Step> {
        self.0.retain(|nqn, _| orphans.iter().any(|orphan| orphan.nqn == *nqn));
        let step = |orphan: Orphan| match self.0.get_mut(&orphan.nqn) {
            None => {
                self.0.insert(orphan.nqn.clone(), now + grace);
                Some(Step::Report(orphan))
            }
            Some(due) if *due <= now => {
                *due = now + RETRY;
                Some(Step::Settle(orphan))
            }
            Some(_) => None,
        };
        orphans.into_iter().filter_map(step).collect()
    }

    /// It was cut.
    pub(super) fn forget(&mut self, nqn: &str) {
        self.0.remove(nqn);
    }

    /// How long until something is due.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        self.0.values().min().map(|due| due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use host::{Controller, ControllerState};

    fn orphan(slot: &str) -> Orphan {
        Orphan { nqn: format!("nqn.test:{slot}"), slot: Slot::parse(slot).unwrap() }
    }

    #[test]
    fn only_what_bears_a_mark_under_exactly_this_prefix_can_be_an_orphan() {
        let prefix = NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap();
        let marked_slot = "rds-00112233-abcdefghijklmnopqrs";
        let subsystem = |nqn: &str, connected: bool| Subsystem {
            nqn: nqn.to_owned(),
            controllers: Vec::from_iter(connected.then(|| Controller {
                name: "nvme1".into(),
                state: ControllerState::Reconnecting,
                address: String::new(),
            })),
            namespaces: Vec::new(),
        };
        for (nqn, connected, expected) in [
            (format!("nqn.2000-02.com.mikrotik:{marked_slot}"), true, true),
            (format!("nqn.2000-02.com.mikrotik:{marked_slot}.00000000000000ab"), true, true),
            (format!("nqn.2000-02.com.mikrotik:{marked_slot}"), false, false),
            (format!("nqn.2000-02.com.mikrotik-two:{marked_slot}"), true, false),
            (format!("nqn.2000-02.com.mikrotik:{marked_slot}.boot"), true, false),
            ("nqn.2000-02.com.mikrotik:node-root".to_owned(), true, false),
            ("nqn.2000-02.com.mikrotik:pvc-0b7e4b39-6a5a-4e0c-8f7e-1c2d3e4f5a6b".to_owned(), true, false),
            ("nqn.2014-08.org.nvmexpress:local-drive".to_owned(), true, false),
        ] {
            assert_eq!(!marked(&[subsystem(&nqn, connected)], &prefix).is_empty(), expected, "{nqn}");
        }
    }

    #[test]
    fn an_orphan_is_said_once_due_after_its_grace_and_then_now_and_again() {
        let (mut seen, start, grace) = (Sightings::default(), Instant::now(), Duration::from_secs(100));
        let after = |seconds| start + Duration::from_secs(seconds);
        for (at, there, expected) in [
            (0, true, vec![Step::Report(orphan("a"))]),
            (99, true, vec![]),
            (100, true, vec![Step::Settle(orphan("a"))]),
            (159, true, vec![]),
            (160, true, vec![Step::Settle(orphan("a"))]),
            (161, false, vec![]),
            // What was accounted for meanwhile begins anew.
            (300, true, vec![Step::Report(orphan("a"))]),
            (399, true, vec![]),
        ] {
            let orphans = if there { vec![orphan("a")] } else { vec![] };
            assert_eq!(seen.see(orphans, after(at), grace), expected, "at {at}");
        }
        assert_eq!(seen.next(after(399)), Some(Duration::from_secs(1)));
        seen.forget("nqn.test:a");
        assert_eq!(seen.next(after(399)), None);
    }
}
