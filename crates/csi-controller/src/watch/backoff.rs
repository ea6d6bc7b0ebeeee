//! The pauses between tries at a device that does not answer.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// Between the first two tries, so that a dropped packet costs next to nothing; doubled from then on.
const SHORTEST: Duration = Duration::from_millis(500);

/// A device that boots takes minutes; waiting longer than this only delays the recovery. The jitter adds up to as
/// much again.
const LONGEST: Duration = Duration::from_secs(15);

/// Endless; with jitter, so that the controllers of several clusters do not ask in step.
pub(super) fn endless() -> impl Iterator<Item = Duration> {
    let pauses = ExponentialBuilder::new().with_min_delay(SHORTEST).with_max_delay(LONGEST);
    pauses.with_jitter().without_max_times().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_with_jitter_and_never_end() {
        let pauses: Vec<_> = endless().take(1000).collect();
        assert_eq!(pauses.len(), 1000);
        let mut least = SHORTEST;
        for pause in &pauses {
            assert!((least..=least * 2).contains(pause), "{pause:?} is not within {least:?} and twice that");
            least = (least * 2).min(LONGEST);
        }
        let capped = &pauses[6..];
        assert!(capped.iter().any(|pause| *pause != capped[0]), "no jitter");
    }
}
