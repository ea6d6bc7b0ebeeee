//! The pauses between tries at a device that cannot be served.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// Between the first two tries, so that a dropped packet costs next to nothing; doubled from then on.
const SHORTEST: Duration = Duration::from_millis(500);

/// Between two tries at a device that does not answer: one small read each, which costs it nothing, and which finds it
/// back within 5 s of its return (R28). The jitter adds up to as much again.
const SILENT: Duration = Duration::from_secs(2);

/// Between two tries at a device that answers and refuses: each is a line in its log, and what is wrong is mended by a
/// person.
const REFUSING: Duration = Duration::from_secs(15);

/// Why a try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// It may be back at any moment.
    Silent,
    /// Somebody has to mend something.
    Refusing,
}

/// The pauses since the device is failing in the same way.
pub(super) struct Pauses {
    failing: Failing,
    next: Box<dyn Iterator<Item = Duration> + Send>,
}

impl Pauses {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { failing: Failing::Silent, next: Box::new(endless(SILENT)) }
    }

    /// The pause from the beginning of the try that failed so to the next one's: a silent device has taken the time
    /// of it already.
    pub(super) fn after(&mut self, failing: Failing) -> Duration {
        if failing != self.failing {
            *self = Self { failing, next: Box::new(endless(failing.longest())) };
        }
        self.next.next().unwrap_or(failing.longest())
    }
}

impl Failing {
    fn longest(self) -> Duration {
        match self {
            Self::Silent => SILENT,
            Self::Refusing => REFUSING,
        }
    }
}

/// Endless; with jitter, so that the controllers of several clusters do not ask in step.
fn endless(longest: Duration) -> impl Iterator<Item = Duration> {
    let pauses = ExponentialBuilder::new().with_min_delay(SHORTEST).with_max_delay(longest);
    pauses.with_jitter().without_max_times().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_with_jitter_and_never_end() {
        for failing in [Failing::Silent, Failing::Refusing] {
            let mut pauses = Pauses::new();
            let pauses: Vec<_> = (0..1000).map(|_| pauses.after(failing)).collect();
            let mut least = SHORTEST;
            for pause in &pauses {
                assert!(
                    (least..=least * 2).contains(pause),
                    "{pause:?} is not within {least:?} and twice that"
                );
                least = (least * 2).min(failing.longest());
            }
            let capped = &pauses[6..];
            assert!(capped.iter().any(|pause| *pause != capped[0]), "no jitter");
        }
    }

    #[test]
    fn a_device_that_fails_in_another_way_is_soon_tried_again() {
        let mut pauses = Pauses::new();
        for failing in [Failing::Refusing, Failing::Silent].repeat(3) {
            assert!(pauses.after(failing) <= SHORTEST * 2);
            assert!((0..9).map(|_| pauses.after(failing)).max() > Some(SHORTEST * 2));
        }
    }
}
