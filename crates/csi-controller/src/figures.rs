//! The device's own figures (R32), read by the clock beside the scrapes, which are answered from memory.
//!
//! The device serves a user's requests one after another, so that each poll costs the calls what it takes: it sends
//! one request after the other, never has two polls under way, and gives up at its deadline.

mod rates;
mod reading;
mod sensors;
mod shown;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use routeros::{Client, Transport};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use volume::{BasePath, ClusterHash};

use crate::Config;
use rates::Rates;
use reading::{Reading, Source};
use shown::{Board, Shown};

/// What is older than so many intervals is not shown: one poll may fail, and one be late.
const FRESH_INTERVALS: u32 = 3;

/// A poll that takes longer is given up: a list of 10,000 disks takes a second, and others wait behind it.
const LONGEST_POLL: Duration = Duration::from_secs(10);

/// Reads the figures of one device, and shows them.
pub struct Figures<T> {
    client: Client<T>,
    scope: FigureScope,
    interval: Duration,
    board: Board,
}

/// Whose figures are shown: the pools that images are made in, and this cluster's exported volumes.
#[derive(Clone, Debug)]
struct FigureScope {
    cluster: ClusterHash,
    pools: BTreeSet<String>,
}

impl<T: Transport> Figures<T> {
    /// Shows the figures of the device behind `client` in `registry`, once [`Figures::poll`] has read them every
    /// `interval`.
    pub fn register(client: Client<T>, config: &Config, interval: Duration, registry: &mut Registry) -> Self {
        let pools = config.base_paths.iter().map(BasePath::pool).map(str::to_owned).collect();
        let scope = FigureScope { cluster: config.cluster_id.hash(), pools };
        let board = Board::new(interval.saturating_mul(FRESH_INTERVALS));
        registry.register_collector(Box::new(board.clone()));
        Self { client, scope, interval, board }
    }

    /// Reads until `stop`. Where `may_send` says no, because another controller leads or the device is known to be
    /// away, nothing is asked and nothing shown. An interval of zero reads nothing.
    pub async fn poll(&self, may_send: impl Fn() -> bool, stop: CancellationToken) {
        if self.interval.is_zero() {
            return;
        }
        // Nothing but reads is under way, so it may end anywhere.
        stop.run_until_cancelled(self.poll_for_ever(may_send)).await;
        self.board.show(None);
    }

    async fn poll_for_ever(&self, may_send: impl Fn() -> bool) {
        let mut ticks = tokio::time::interval(self.interval);
        // A poll that outlasts its interval skips the next.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut earlier: Option<Reading> = None;
        let mut said = BTreeSet::new();
        loop {
            ticks.tick().await;
            if !may_send() {
                self.board.show(None);
                earlier = None;
                continue;
            }
            let deadline = Instant::now() + self.interval.min(LONGEST_POLL);
            let expected = earlier.as_ref().map_or(0, |earlier| earlier.disks.len());
            match reading::read(&self.client.until(deadline), &self.scope, expected).await {
                Ok(reading) => {
                    say(&reading.failed, &mut said);
                    self.board.show(Some(self.compare(earlier.as_ref(), &reading)));
                    earlier = Some(reading);
                }
                // Whether the device answers at all is the watch's to say.
                Err(error) => tracing::debug!("no figures this time: {}", error.report()),
            }
        }
    }

    fn compare(&self, earlier: Option<&Reading>, later: &Reading) -> Shown {
        let fresh_for = self.interval.saturating_mul(FRESH_INTERVALS);
        let comparable = earlier.filter(|earlier| {
            let is_recent = later.asked.saturating_duration_since(earlier.asked) <= fresh_for;
            is_recent
                && later.up.is_some_and(|(up_for, said)| rates::is_same_boot(earlier.asked, said, up_for))
        });
        let disks = later.disks.iter().filter_map(|disk| {
            let sample = disk.sample?;
            let before = comparable.and_then(|earlier| earlier.disk(&disk.slot));
            // A slot is used again, an id never.
            let before = before.filter(|before| before.id == disk.id).and_then(|before| before.sample);
            let rates = before.map_or_else(Rates::default, |before| rates::rates(&before, &sample));
            let slot = Arc::clone(&disk.slot);
            Some(shown::Disk { slot, rates, in_flight: sample.counters.in_flight_ops })
        });
        let mut shown = Vec::with_capacity(later.disks.len());
        shown.extend(disks);
        Shown { asked: later.asked, disks: shown, pools: later.pools.clone(), sensors: later.sensors }
    }
}

/// Says what is missing once, until it has been there again.
fn say(failed: &[(Source, String)], said: &mut BTreeSet<Source>) {
    for (source, reason) in failed.iter().filter(|(source, _)| !said.contains(source)) {
        tracing::warn!("the metrics lack what {} has: {reason}", source.path());
    }
    *said = failed.iter().map(|(source, _)| *source).collect();
}
