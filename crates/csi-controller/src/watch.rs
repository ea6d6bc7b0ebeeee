//! What runs beside the calls: the pools are read again and again, and with them whether the device answers.

mod backoff;

use std::time::Duration;

use routeros::{Error, Severity, Transport};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use volume::Slot;

use crate::pool::{PoolError, Reading, Reservation};
use crate::{Controller, device_error};

/// One reading of 10,000 disks takes a second, and the device serves a user's requests one after another; a device
/// that needs longer than this is not serving. A silent one is noticed within this and the poll interval.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

impl<T: Transport> Controller<T> {
    /// Looks after the device until `stop`: reads the pools every `interval`, and tells the readiness. `user` is the
    /// device user's name, by which its policies are looked up.
    ///
    /// ```text
    /// connect ──fit──► follow ──no answer──► connect ──► …
    /// ```
    pub async fn watch(&self, user: impl Fn() -> String, interval: Duration, stop: CancellationToken) {
        self.pools.read_every(interval);
        let looking = async {
            loop {
                self.connect(&user).await;
                self.follow(interval).await;
            }
        };
        // Nothing but reads is under way, so it may end anywhere.
        stop.run_until_cancelled(looking).await;
    }

    /// Tries, for ever, until the device is there, fit, and its pools are read.
    async fn connect(&self, user: &impl Fn() -> String) {
        let since = Instant::now();
        for pause in backoff::endless() {
            match self.look(&user()).await {
                Ok(()) => {
                    self.connection.connected(since.elapsed());
                    self.readiness.set_ready();
                    return;
                }
                Err(reason) => {
                    self.connection.failed();
                    self.lost(&reason);
                }
            }
            sleep(pause).await;
        }
    }

    /// Returns when the device can no longer be read.
    async fn follow(&self, interval: Duration) {
        loop {
            sleep(interval).await;
            if let Err(error) = self.read_pools(Instant::now() + READ_TIMEOUT).await {
                return self.lost(&error.report());
            }
        }
    }

    /// Logged when the reason is another than before, not at every try.
    fn lost(&self, reason: &str) {
        if self.readiness.set_not_ready(reason) {
            tracing::warn!("the device cannot be served, trying on: {reason}");
        }
    }

    /// One try: version, package, policies and the pools.
    async fn look(&self, user: &str) -> Result<(), String> {
        let deadline = Instant::now() + READ_TIMEOUT;
        let report = self.client.until(deadline).probe(user).await.map_err(|error| error.report())?;
        let (faults, warnings): (Vec<_>, Vec<_>) =
            report.findings.iter().partition(|finding| finding.severity == Severity::Error);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        if !faults.is_empty() {
            return Err(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        }
        self.read_pools(deadline).await.map_err(|error| error.report())
    }

    /// Takes room for the image of a slot, `bytes` in all; a pool that is not known is looked for once.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED without room, UNAVAILABLE while the pool is not there.
    pub(crate) async fn reserve(
        &self,
        pool: &str,
        slot: &Slot,
        bytes: u64,
        deadline: Instant,
    ) -> Result<Reservation<'_>, Status> {
        match self.pools.reserve(pool, slot.as_str(), bytes) {
            Err(PoolError::Unknown(_)) => {
                let read = self.read_pools(deadline).await;
                read.map_err(|error| device_error::status("reading the pools", &error))?;
                self.pools.reserve(pool, slot.as_str(), bytes)
            }
            reserved => reserved,
        }
        .map_err(|error| error.status())
    }

    /// Reads the size of every pool and image.
    pub(crate) async fn read_pools(&self, deadline: Instant) -> Result<(), Error> {
        let asked = Instant::now();
        let mut reading = Reading::default();
        let client = self.client.until(deadline);
        let read = client.for_each_disk(|row| {
            reading.take(&row);
            Ok(())
        });
        read.await?;
        self.pools.install(reading, asked);
        Ok(())
    }
}
