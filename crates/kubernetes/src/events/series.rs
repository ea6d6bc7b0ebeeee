//! Which events are repeats of one another: pure.
//!
//! The same reason, object and message within [`QUIET`] is one series (R14), as in client-go but for the message:
//! another message is another event there too since Kubernetes forbids to change it. So that a failure whose text
//! changes at every attempt does not flood the API server, after [`VARIANTS`] texts the rest becomes one series.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use volume::{Event, Involved, Reason};

/// A series ends after this long without a repeat (client-go: six minutes).
const QUIET: Duration = Duration::from_secs(6 * 60);
/// Texts of one reason on one object that are told apart (client-go aggregates after ten).
const VARIANTS: usize = 10;
/// Series that are remembered: as many as the queue holds events. The oldest is forgotten first, at worst a repeat
/// becomes a new event.
const REMEMBERED: usize = 1000;
/// What the message of the rest begins with, as kubectl's users know it.
const COMBINED: &str = "(combined from similar events): ";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    reason: Reason,
    involved: Involved,
    /// `None`: the rest.
    message: Option<String>,
}

/// An Event object that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Posted {
    /// Its name.
    pub(super) name: String,
    /// How often it was seen.
    pub(super) count: i32,
    last: Instant,
}

/// What to do with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is new, with this message.
    Create {
        /// What it is remembered as.
        key: Key,
        /// As it is to be posted.
        message: String,
    },
    /// It repeats the object of this name.
    Repeat {
        /// What it is remembered as.
        key: Key,
        /// The object.
        name: String,
        /// How often it was seen, this time included.
        count: i32,
    },
}

/// The series that go on.
#[derive(Debug, Default)]
pub(super) struct Series {
    posted: HashMap<Key, Posted>,
}

impl Series {
    /// What to do with `event`.
    pub(super) fn plan(&mut self, event: &Event, now: Instant) -> Step {
        self.posted.retain(|_, posted| now.saturating_duration_since(posted.last) < QUIET);
        let key = self.key(event);
        match self.posted.get(&key) {
            Some(posted) => {
                let (name, count) = (posted.name.clone(), posted.count.saturating_add(1));
                Step::Repeat { key, name, count }
            }
            None => {
                let combined = key.message.is_none();
                let prefix = if combined { COMBINED } else { "" };
                Step::Create { key, message: format!("{prefix}{}", event.message) }
            }
        }
    }

    fn key(&self, event: &Event) -> Key {
        let (reason, involved) = (event.reason, event.involved.clone());
        let exact = Key { reason, involved, message: Some(event.message.clone()) };
        let alike = |key: &&Key| key.reason == event.reason && key.involved == event.involved;
        if self.posted.contains_key(&exact) || self.posted.keys().filter(alike).count() < VARIANTS {
            return exact;
        }
        Key { message: None, ..exact }
    }

    /// The API server took it.
    pub(super) fn posted(&mut self, key: Key, name: String, count: i32, now: Instant) {
        if self.posted.len() >= REMEMBERED && !self.posted.contains_key(&key) {
            let oldest = self.posted.iter().min_by_key(|(_, posted)| posted.last).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.posted.remove(&key));
        }
        self.posted.insert(key, Posted { name, count, last: now });
    }

    /// The object is gone from the API server.
    pub(super) fn forget(&mut self, key: &Key) {
        self.posted.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Event {
        let involved = Involved::Node { name: "n".to_owned(), uid: String::new() };
        Event { reason: Reason::MountFailure, involved, message: message.to_owned() }
    }

    /// Posts an event; says the message of a new one, or how often it was seen.
    fn post(series: &mut Series, message: &str, now: Instant) -> Result<String, i32> {
        match series.plan(&event(message), now) {
            Step::Create { key, message } => {
                series.posted(key, "object".to_owned(), 1, now);
                Ok(message)
            }
            Step::Repeat { key, name, count } => {
                series.posted(key, name, count, now);
                Err(count)
            }
        }
    }

    #[test]
    fn repeats_count_and_another_message_is_another_event() {
        let (mut series, now) = (Series::default(), Instant::now());
        assert_eq!(post(&mut series, "to a", now), Ok("to a".to_owned()));
        assert_eq!(post(&mut series, "to a", now), Err(2));
        assert_eq!(post(&mut series, "to b", now), Ok("to b".to_owned()));
        assert_eq!(post(&mut series, "to a", now), Err(3));
    }

    #[test]
    fn a_series_ends_when_it_was_quiet() {
        let (mut series, now) = (Series::default(), Instant::now());
        assert_eq!(post(&mut series, "m", now), Ok("m".to_owned()));
        assert_eq!(post(&mut series, "m", now + QUIET / 2), Err(2));
        assert_eq!(post(&mut series, "m", now + QUIET), Err(3));
        assert_eq!(post(&mut series, "m", now + QUIET * 2), Ok("m".to_owned()));
    }

    #[test]
    fn a_text_that_always_changes_becomes_one_series() {
        let (mut series, now) = (Series::default(), Instant::now());
        for number in 0..VARIANTS {
            assert!(post(&mut series, &number.to_string(), now).is_ok());
        }
        assert_eq!(post(&mut series, "x", now), Ok(format!("{COMBINED}x")));
        assert_eq!(post(&mut series, "y", now), Err(2));
        assert_eq!(post(&mut series, "0", now), Err(2));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_is_forgotten_first() {
        let (mut series, start) = (Series::default(), Instant::now());
        for number in 0..=REMEMBERED {
            let now = start + Duration::from_millis(u64::try_from(number).unwrap_or(0));
            let key = Key { message: Some(number.to_string()), ..series.key(&event("")) };
            series.posted(key, String::new(), 1, now);
        }
        assert_eq!(series.posted.len(), REMEMBERED);
        let first = Key { message: Some("0".to_owned()), ..series.key(&event("")) };
        assert!(!series.posted.contains_key(&first));
    }
}
