//! The controller: what all of its calls share.

use std::sync::Arc;
use std::time::Duration;

use csi_server::{InFlight, Readiness};
use prometheus_client::registry::Registry;
use routeros::{Client, Transport};
use tokio::time::Instant;
use tonic::Status;
use volume::{Events, NoEvents, Slot};

use crate::agenda::Agenda;
use crate::connection::ConnectionMetrics;
use crate::door::Door;
use crate::gate::Gate;
use crate::hand_off::HandOffs;
use crate::lead::Lead;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::pool::Pools;
use crate::settle::Settle;
use crate::unsaid::Unsaid;
use crate::unwanted::UnwantedSince;
use crate::writes::Writes;
use crate::{Alone, AttachmentPolicy, Cluster, Config, ConfigError, Leadership, PoolReserve, clock};

/// The Controller service of one device.
///
/// Serve it with `ControllerServer::from_arc`, and let [`Controller::watch`] run beside it.
pub struct Controller<T> {
    pub(crate) client: Door<T>,
    pub(crate) gate: Gate,
    /// `None`: there is no Kubernetes to ask.
    pub(crate) cluster: Option<Arc<dyn Cluster>>,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) ledger: Ledger,
    pub(crate) agenda: Agenda,
    pub(crate) unwanted: UnwantedSince,
    pub(crate) unsaid: Unsaid,
    pub(crate) hand_offs: HandOffs,
    pub(crate) attachments: AttachmentPolicy,
    /// Seconds since the Unix epoch: for the deadlines of migrations, which outlive processes.
    pub(crate) wall_clock: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Another number whenever the credentials' files are others.
    pub(crate) login: Box<dyn Fn() -> u64 + Send + Sync>,
    /// The device's address, for people.
    pub(crate) address: String,
    pub(crate) config: Config,
    /// Whether calls can be served.
    pub(crate) readiness: Readiness,
    /// Whether the device can be, whoever leads.
    pub(crate) device: Readiness,
    pub(crate) metrics: Metrics,
    pub(crate) connection: ConnectionMetrics,
    pub(crate) in_flight: InFlight,
    pub(crate) pools: Pools,
    pub(crate) settle: Settle,
    pub(crate) writes: Writes,
    /// Whether it was said that ReadWriteMany goes without an allow list.
    pub(crate) said_unlisted: std::sync::Once,
    /// Whether it was said that nothing is closed until the watches are in sync.
    pub(crate) said_unsynced: std::sync::Once,
    /// Whether it was said that pods may not be read.
    pub(crate) said_forbidden: std::sync::Once,
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
        let lead = Arc::new(Lead::new(Arc::new(Alone)));
        Ok(Self {
            metrics: Metrics::register(registry),
            connection: ConnectionMetrics::register(registry),
            in_flight: InFlight::default(),
            pools: Pools::default(),
            settle: Settle::new(config.fence_settle, config.device.unexport),
            writes: Writes::new(config.device.order),
            said_unlisted: std::sync::Once::new(),
            said_unsynced: std::sync::Once::new(),
            said_forbidden: std::sync::Once::new(),
            client: Door::new(client, Arc::clone(&lead)),
            gate: Gate::new(lead),
            cluster: None,
            events: Arc::new(NoEvents),
            ledger: Ledger::default(),
            agenda: Agenda::default(),
            unwanted: UnwantedSince::default(),
            unsaid: Unsaid::default(),
            hand_offs: HandOffs::default(),
            attachments: AttachmentPolicy::default(),
            wall_clock: Box::new(clock::unix_seconds),
            login: Box::new(|| 0),
            address: "the device".to_owned(),
            device: Readiness::not_ready("the device was not looked at yet"),
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

    /// The same controller, which tries a device that refuses again as soon as this number, which stands for the
    /// credentials, is another one.
    #[must_use]
    pub fn with_login(mut self, login: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.login = Box::new(login);
        self
    }

    /// The same controller, which asks this Kubernetes. No call is served before [`Controller::watch`] has read what
    /// is attached.
    #[must_use]
    pub fn with_cluster(mut self, cluster: Arc<dyn Cluster>) -> Self {
        self.cluster = Some(cluster);
        self.gate.require_rebuild();
        self
    }

    /// The same controller, which says there what happens.
    #[must_use]
    pub fn with_events(mut self, events: Arc<dyn Events>) -> Self {
        self.events = events;
        self
    }

    /// The same controller, which serves and sends only while it leads.
    #[must_use]
    pub fn with_leadership(mut self, leadership: Arc<dyn Leadership>) -> Self {
        let lead = Arc::new(Lead::new(leadership));
        self.client.follow(Arc::clone(&lead));
        self.gate.follow(lead);
        self
    }

    /// The same controller, which looks after attachments so.
    #[must_use]
    pub fn with_attachments(mut self, policy: AttachmentPolicy) -> Self {
        self.attachments = policy;
        self
    }

    /// The same controller, whose device people know by this address.
    #[must_use]
    pub fn with_address(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// The same controller with another wall clock, in seconds since the Unix epoch.
    #[must_use]
    pub fn with_wall_clock(mut self, now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.wall_clock = Box::new(now);
        self
    }

    /// Whether the device can be served, as [`Controller::watch`] sees it; nothing is known of it on a standby.
    #[must_use]
    pub fn device(&self) -> &Readiness {
        &self.device
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
