//! What runs beside the calls: the pools are read again and again, and with them whether the device answers.

use std::time::Duration;

use routeros::{Error, Severity, Transport};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use volume::Slot;

use crate::pool::{PoolError, Reading, Reservation};
use crate::{Controller, device_error};

/// After a failure, so that a device that comes back is noticed soon.
const RETRY: Duration = Duration::from_secs(2);
/// One reading of 10,000 disks takes a second; a device that needs longer than this is not serving.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

impl<T: Transport> Controller<T> {
    /// Reads the pools every `interval` and tells the readiness, until `stop`. `user` is the device user's name, by
    /// which its policies are looked up.
    pub async fn watch(&self, user: impl Fn() -> String, interval: Duration, stop: CancellationToken) {
        let mut is_fit = false;
        loop {
            let pause = match self.look(&user(), &mut is_fit).await {
                Ok(()) => {
                    self.readiness.set_ready();
                    interval
                }
                Err(reason) => {
                    is_fit = false;
                    if self.readiness.set_not_ready(&reason) {
                        tracing::warn!("the device cannot be served: {reason}");
                    }
                    RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look: version, package and policies once after each outage, the pools every time.
    async fn look(&self, user: &str, is_fit: &mut bool) -> Result<(), String> {
        let deadline = Instant::now() + READ_TIMEOUT;
        if !*is_fit {
            let report = self.client.until(deadline).probe(user).await.map_err(|error| error.to_string())?;
            for finding in report.findings.iter().filter(|finding| finding.severity == Severity::Warning) {
                tracing::warn!("{finding}");
            }
            let faults = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
            let faults: Vec<_> = faults.map(ToString::to_string).collect();
            if !faults.is_empty() {
                return Err(faults.join("; "));
            }
            *is_fit = true;
        }
        self.read_pools(deadline).await.map_err(|error| error.to_string())
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
