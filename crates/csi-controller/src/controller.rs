//! The controller: what all of its calls share.

use std::time::Duration;

use csi_server::{InFlight, Readiness};
use prometheus_client::registry::Registry;
use routeros::{Client, Transport};
use tokio::time::Instant;
use tonic::Status;
use volume::Slot;

use crate::connection::ConnectionMetrics;
use crate::metrics::Metrics;
use crate::pool::Pools;
use crate::settle::Settle;
use crate::writes::Writes;
use crate::{Config, ConfigError, PoolReserve};

/// The Controller service of one device.
///
/// Serve it with `ControllerServer::from_arc`, and let [`Controller::watch`] run beside it.
pub struct Controller<T> {
    pub(crate) client: Client<T>,
    pub(crate) config: Config,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    pub(crate) connection: ConnectionMetrics,
    pub(crate) in_flight: InFlight,
    pub(crate) pools: Pools,
    pub(crate) settle: Settle,
    pub(crate) writes: Writes,
    /// Whether it was said that ReadWriteMany goes without an allow list.
    pub(crate) said_unlisted: std::sync::Once,
}

impl<T: Transport> Controller<T> {
    /// A controller of the device behind `client`; nothing is sent yet. Its metrics are shown in `registry`, and
    /// [`Controller::watch`] tells `readiness` whether the device can be served.
    ///
    /// # Errors
    /// A configuration that cannot be worked with.
    pub fn new(
        client: Client<T>,
        config: Config,
        registry: &mut Registry,
        readiness: Readiness,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            metrics: Metrics::register(registry),
            connection: ConnectionMetrics::register(registry),
            in_flight: InFlight::default(),
            pools: Pools::default(),
            settle: Settle::new(config.fence_settle, config.device.unexport),
            writes: Writes::new(config.device.order),
            said_unlisted: std::sync::Once::new(),
            client,
            config,
            readiness,
        })
    }

    /// The same controller, which looks up the device user's name so: where it changes, requests before and after
    /// have no order between them. Without this the name is taken to stay as it is.
    #[must_use]
    pub fn with_user(mut self, user: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.writes.set_user(Box::new(user));
        self
    }

    /// The same controller with another reserve in each pool.
    #[must_use]
    pub fn with_pool_reserve(mut self, reserve: PoolReserve) -> Self {
        self.pools.reserve = reserve;
        self
    }

    /// Makes sure that no earlier write can still come to the row. True if that took waiting: then what was read
    /// before says nothing any more.
    ///
    /// # Errors
    /// UNAVAILABLE, with the seconds left, if the call ends before the wait.
    pub(crate) async fn waited_for_doubt(&self, slot: &Slot, deadline: Instant) -> Result<bool, Status> {
        let Some(until) = self.writes.doubtful_until(slot) else { return Ok(false) };
        let what = "an earlier request to the device may still take effect (--device order=fifo ends this wait, \
                    where it was shown)";
        wait(slot, until.saturating_duration_since(Instant::now()), deadline, what).await?;
        Ok(true)
    }
}

/// Waits, if the call can.
///
/// # Errors
/// UNAVAILABLE, with the seconds left, if the call ends before.
pub(crate) async fn wait(slot: &Slot, left: Duration, deadline: Instant, why: &str) -> Result<(), Status> {
    let until = Instant::now() + left;
    if until >= deadline {
        let seconds = left.as_millis().div_ceil(1000);
        return Err(Status::unavailable(format!("volume {slot}: {why}; try again in {seconds} s")));
    }
    tokio::time::sleep_until(until).await;
    Ok(())
}
