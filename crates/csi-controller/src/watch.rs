//! What runs beside the calls: the pools are read again and again, and with them whether the device answers.

mod backoff;

use std::time::Duration;

use routeros::{Error, Severity, Transport};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use volume::{Reason, Slot};

use self::backoff::{Failing, Pauses};
use crate::pool::{PoolError, Reading, Reservation};
use crate::{Controller, device_error, events};

/// One reading of 10,000 disks takes a second, and the device serves a user's requests one after another; a device
/// that needs longer than this is not serving. A silent one is noticed within this and the poll interval.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What a device that is tried again gets for one small read. One that needs longer while nothing else is asked of it
/// cannot serve a call of 15 s, which makes five; and one that lost its connections by a reboot is found back by the
/// next try, not by the end of this one.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// How often the credentials' files are looked at while the device refuses: two `stat` calls each.
const LOGIN_LOOK: Duration = Duration::from_secs(1);

/// Between two tries to rebuild: the device answers, so it is mostly the API server that is waited for.
const REBUILD_PAUSE: Duration = Duration::from_secs(2);

/// Why a try at the device failed.
struct NotServed {
    failing: Failing,
    reason: String,
}

/// Since when the device is away.
#[derive(Default)]
struct Outage {
    since: Option<Instant>,
}

impl<T: Transport> Controller<T> {
    /// Looks after the device and its attachments until `stop`: reads the pools every `interval`, reconciles, and tells
    /// the readiness. `user` is the device user's name, by which its policies are looked up. To be called once this
    /// process leads; it ends when no request of its own is under way.
    ///
    /// ```text
    /// connect ──fit──► rebuild (once) ──► follow ──no answer──► connect ──► …
    /// ```
    pub async fn watch(&self, user: impl Fn() -> String, interval: Duration, stop: CancellationToken) {
        self.pools.read_every(interval);
        if !self.gate.is_rebuilt() {
            self.writes.begin();
        }
        let looking = async {
            let mut outage = Outage::default();
            while stop.run_until_cancelled(self.connect(&user, &mut outage)).await.is_some() {
                if self.take_over(&stop).await {
                    let lost = stop.run_until_cancelled(self.follow(interval)).await;
                    lost.into_iter().for_each(|reason| self.lost(&reason, &mut outage));
                }
            }
        };
        // Large, and made once.
        tokio::join!(Box::pin(looking), Box::pin(self.reconcile(&stop)));
    }

    /// Tries, for ever, until the device is there, fit, and its pools are read.
    async fn connect(&self, user: &impl Fn() -> String, outage: &mut Outage) {
        let (since, mut pauses) = (Instant::now(), Pauses::new());
        loop {
            let (began, login) = (Instant::now(), (self.login)());
            let Err(NotServed { failing, reason }) = self.look(&user()).await else {
                self.connection.connected(since.elapsed());
                return self.found(outage);
            };
            self.connection.failed();
            self.lost(&reason, outage);
            self.pause(began + pauses.after(failing), login).await;
        }
    }

    /// Waits, if not for a new password.
    async fn pause(&self, until: Instant, login: u64) {
        while Instant::now() < until && (self.login)() == login {
            sleep_until(until.min(Instant::now() + LOGIN_LOOK)).await;
        }
    }

    /// Serves from here on, after the rebuild that a new leader owes; false where that has to be tried again.
    async fn take_over(&self, stop: &CancellationToken) -> bool {
        if self.gate.is_rebuilt() {
            // What happened on the device while it was away is not known.
            self.agenda.all();
        } else if let Err(reason) = self.rebuild(stop).await {
            if self.readiness.set_not_ready(&reason) {
                tracing::warn!("what is attached cannot be read, trying on: {reason}");
            }
            stop.run_until_cancelled(sleep(REBUILD_PAUSE)).await;
            return false;
        }
        self.readiness.set_ready();
        true
    }

    /// Returns when the device can no longer be read, with why.
    async fn follow(&self, interval: Duration) -> String {
        loop {
            sleep(interval).await;
            if let Err(error) = self.read_pools(Instant::now() + READ_TIMEOUT).await
                && self.client.is_open()
            {
                return error.report();
            }
        }
    }

    fn found(&self, outage: &mut Outage) {
        self.device.set_ready();
        if let Some(since) = outage.since.take() {
            let message = events::reconnected(&self.address, since.elapsed());
            self.tell_of_self(Reason::RdsReconnected, message);
        }
    }

    /// Logged when the reason is another than before, not at every try; said once an outage.
    fn lost(&self, reason: &str, outage: &mut Outage) {
        self.device.set_not_ready(reason);
        if self.readiness.set_not_ready(reason) {
            tracing::warn!("the device cannot be served, trying on: {reason}");
        }
        if outage.since.is_none() {
            outage.since = Some(Instant::now());
            self.tell_of_self(Reason::RdsDisconnected, events::disconnected(&self.address, reason));
        }
    }

    /// One try: whether it answers at all, then version, package, policies and the pools.
    async fn look(&self, user: &str) -> Result<(), NotServed> {
        self.client.until(Instant::now() + KNOCK_TIMEOUT).barrier().await?;
        let deadline = Instant::now() + READ_TIMEOUT;
        let report = self.client.until(deadline).probe(user).await?;
        let (faults, warnings): (Vec<_>, Vec<_>) =
            report.findings.iter().partition(|finding| finding.severity == Severity::Error);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        if !faults.is_empty() {
            let reason = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            return Err(NotServed { failing: Failing::Refusing, reason });
        }
        Ok(self.read_pools(deadline).await?)
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

impl From<Error> for NotServed {
    fn from(error: Error) -> Self {
        let failing = if error.kind().is_retriable() { Failing::Silent } else { Failing::Refusing };
        Self { failing, reason: error.report() }
    }
}
