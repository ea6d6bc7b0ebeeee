//! Outages of a path: which of them are said, pure.
//!
//! ```text
//!        ┌──────────live again──────────┐
//!        ▼                              │
//!  live ──not live──► waited for ──PATIENCE──► said: lost ──live──► said: recovered
//!        └──no controller left──────────────► said: removed ──live──┘
//! ```

use std::collections::BTreeMap;
use std::fmt;

use host::Subsystem;
use tokio::time::{Duration, Instant};
use volume::Slot;

use crate::attached;
use crate::records::StageRecord;

/// A loss that the kernel's first two tries mend is none: a link cut for a second may take one of them.
const TRIES: u32 = 2;
/// However fast it tries: a box that restarts a service is away for seconds.
const LEAST_PATIENCE: Duration = Duration::from_secs(10);
/// How long an outage that was said is remembered without its volume: it may be staged anew after its removal, and then
/// its return is said.
const MEMORY: Duration = Duration::from_secs(10 * 60);

/// A path as sysfs shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// I/O flows, to this address.
    Live { target: String },
    /// There are controllers, none of them live: I/O waits.
    Down { target: String },
    /// There is no controller: I/O fails.
    Gone,
}

/// What is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Lost { target: String },
    Removed { target: String },
    Recovered { target: String, attempts: u64 },
}

impl fmt::Display for Word {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { target } => write!(
                formatter,
                "Connection to {target} failed: it was lost and is tried again; reads and writes wait until it is back, or \
                 until ctrl_loss_tmo is over"
            ),
            Self::Removed { target } => write!(
                formatter,
                "Connection to {target} failed: the kernel gave it up (the target refused it, or ctrl_loss_tmo is over); \
                 reads and writes fail: delete the pods that use the volume, and it is connected anew"
            ),
            Self::Recovered { target, attempts } => {
                write!(formatter, "Connection to {target} recovered after {attempts} attempts")
            }
        }
    }
}

/// The paths that were seen live or tried, by volume.
#[derive(Debug, Default)]
pub(super) struct Outages(BTreeMap<Slot, Seen>);

#[derive(Debug)]
struct Seen {
    target: String,
    reconnect_delay: Duration,
    /// When it was first seen not live.
    since: Option<Instant>,
    said: bool,
    looked_at: Instant,
}

impl Outages {
    /// Takes what is seen of a staged volume's path. One that was never seen connected is no outage: a node that booted
    /// has its records, and no connection yet.
    pub(super) fn see(&mut self, record: &StageRecord, path: Path, now: Instant) -> Option<Word> {
        let reconnect_delay = Duration::from_secs(u64::from(record.reconnect_delay.max(1)));
        if path == Path::Gone && !self.0.contains_key(&record.slot) {
            return None;
        }
        let fresh = Seen { target: String::new(), reconnect_delay, since: None, said: false, looked_at: now };
        let seen = self.0.entry(record.slot.clone()).or_insert(fresh);
        seen.looked_at = now;
        seen.reconnect_delay = reconnect_delay;
        seen.see(path, now)
    }

    /// How long until an outage is long enough to be said.
    pub(super) fn due(&self, now: Instant) -> Option<Duration> {
        let waited_for = self.0.values().filter(|seen| !seen.said);
        waited_for
            .filter_map(|seen| Some((seen.since? + seen.patience()).saturating_duration_since(now)))
            .min()
    }

    /// Forgets what has left the node: not what a call kept from being looked at.
    pub(super) fn forget_old(&mut self, now: Instant, records: &[StageRecord]) {
        self.0.retain(|slot, seen| {
            if records.iter().any(|record| record.slot == *slot) {
                return true;
            }
            let away = now.saturating_duration_since(seen.looked_at);
            if seen.said { away < MEMORY } else { away.is_zero() }
        });
    }
}

impl Seen {
    fn patience(&self) -> Duration {
        (self.reconnect_delay * TRIES).max(LEAST_PATIENCE)
    }

    fn see(&mut self, path: Path, now: Instant) -> Option<Word> {
        if let Path::Live { target } | Path::Down { target } = &path {
            self.target.clone_from(target);
        }
        let target = self.target.clone();
        if let Path::Live { .. } = path {
            let lasted =
                self.since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
            // The kernel counts its tries in its log only; it makes one every delay.
            let attempts = lasted.as_secs().div_ceil(self.reconnect_delay.as_secs()).max(1);
            return std::mem::take(&mut self.said).then_some(Word::Recovered { target, attempts });
        }
        let since = *self.since.get_or_insert(now);
        let is_gone = path == Path::Gone;
        if self.said || !is_gone && now < since + self.patience() {
            return None;
        }
        self.said = true;
        Some(if is_gone { Word::Removed { target } } else { Word::Lost { target } })
    }
}

/// What sysfs shows of the path of `nqn`.
pub(super) fn path(subsystems: &[Subsystem], nqn: &str) -> Path {
    let controllers = attached::controllers(subsystems, nqn);
    let Some(first) = controllers.first() else { return Path::Gone };
    let target = target(&first.address);
    match attached::live_controllers(subsystems, nqn).is_empty() {
        true => Path::Down { target },
        false => Path::Live { target },
    }
}

/// `address:port` of sysfs's `traddr=…,trsvcid=…[,src_addr=…]`.
fn target(address: &str) -> String {
    let of = |key: &str| address.split(',').find_map(|field| field.strip_prefix(key));
    match (of("traddr="), of("trsvcid=")) {
        (Some(ip), Some(port)) if ip.contains(':') => format!("[{ip}]:{port}"),
        (Some(ip), Some(port)) => format!("{ip}:{port}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::records::test_record;

    fn live() -> Path {
        Path::Live { target: "t".into() }
    }

    fn down() -> Path {
        Path::Down { target: "t".into() }
    }

    /// What is said of a path seen so at these seconds.
    fn said(seen: &[(u64, Path)]) -> Vec<(u64, Word)> {
        let (mut outages, start, record) = (Outages::default(), Instant::now(), test_record("a"));
        let words = seen.iter().filter_map(|(at, path)| {
            let word = outages.see(&record, path.clone(), start + Duration::from_secs(*at));
            word.map(|word| (*at, word))
        });
        words.collect()
    }

    #[test]
    fn an_outage_is_said_once_when_it_lasts_and_so_is_its_end() {
        let target = || "t".to_owned();
        let lost = Word::Lost { target: target() };
        let removed = Word::Removed { target: target() };
        let recovered = |attempts| Word::Recovered { target: target(), attempts };
        for (seen, expected) in [
            // A second's outage: the first try mends it.
            (vec![(0, live()), (1, down()), (6, down()), (7, live())], vec![]),
            (
                vec![
                    (0, live()),
                    (8, down()),
                    (17, down()),
                    (18, down()),
                    (29, down()),
                    (30, live()),
                    (31, live()),
                ],
                vec![(18, lost.clone()), (30, recovered(5))],
            ),
            // Two outages are two.
            (
                vec![
                    (0, live()),
                    (1, down()),
                    (11, down()),
                    (12, live()),
                    (13, down()),
                    (23, down()),
                    (24, live()),
                ],
                vec![(11, lost.clone()), (12, recovered(3)), (23, lost.clone()), (24, recovered(3))],
            ),
            // The kernel's giving up is said at once, but not again after the loss was.
            (
                vec![(0, live()), (1, Path::Gone), (2, Path::Gone), (9, live())],
                vec![(1, removed), (9, recovered(2))],
            ),
            (vec![(0, down()), (10, down()), (20, Path::Gone)], vec![(10, lost)]),
            // Not connected yet.
            (vec![(0, Path::Gone), (20, Path::Gone), (21, live())], vec![]),
        ] {
            assert_eq!(said(&seen), expected, "{seen:?}");
        }
    }

    #[test]
    fn an_outage_that_was_said_is_remembered_while_its_volume_is_staged_anew_and_any_other_is_not() {
        let (mut outages, start, record) = (Outages::default(), Instant::now(), test_record("a"));
        let after = |seconds| start + Duration::from_secs(seconds);
        outages.see(&record, live(), start);
        outages.see(&record, Path::Gone, after(1));
        outages.forget_old(after(60), &[]);
        let word = outages.see(&record, live(), after(61));
        assert_eq!(word, Some(Word::Recovered { target: "t".into(), attempts: 12 }));
        outages.see(&record, Path::Gone, after(62));
        outages.forget_old(after(62) + MEMORY, &[]);
        assert_eq!(outages.see(&record, live(), after(63) + MEMORY), None);
    }

    #[test]
    fn an_address_is_shown_as_people_write_it() {
        for (address, expected) in [
            ("traddr=10.0.0.1,trsvcid=4420,src_addr=10.0.0.2", "10.0.0.1:4420"),
            ("traddr=fd00::1,trsvcid=4420", "[fd00::1]:4420"),
            ("0000:00:04.0", "0000:00:04.0"),
        ] {
            assert_eq!(target(address), expected);
        }
    }
}
