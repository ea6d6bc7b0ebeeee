//! The service's state: what every RPC works with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use csi_server::{InFlight, InFlightGuard};
use host::{Host, Subsystem};
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use volume::{Events, HostIdentity, NoEvents, NodeId, NqnPrefix, Slot};

use crate::attached;
use crate::attachments::{Attachments, Kubernetes};
use crate::breaker::Breakers;
use crate::error::{Error, Result};
use crate::fence::Fences;
use crate::health::Health;
use crate::losses::Losses;
use crate::metrics::{Connected, Metrics};
use crate::orphans::Orphans;
use crate::records::{Records, fallback_identity};
use crate::scans::Scans;
use crate::seen::Seen;

/// What an operator sets of a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node, `rds:<Node name>` on the wire.
    pub node: NodeId,
    /// What every NQN of ours begins with; nothing else on the node is ever touched.
    pub nqn_prefix: NqnPrefix,
    /// The driver's own directory under the kubelet's plugins directory, for records.
    pub state_dir: PathBuf,
    /// How many volumes the node takes; 0 leaves it to the CO.
    pub max_volumes: u32,
    /// How many pods may have one raw block volume: bind mounts of a device under bidirectional
    /// propagation multiply, and 2,048 of them ate a kernel's memory elsewhere (lessons.md).
    pub max_block_publishes: usize,
    /// How long a connection that nothing accounts for is only said, before it may be cut (node.md rule 13).
    pub orphan_grace: Duration,
    /// How long before the caller gives up an answer is sent.
    pub answer_margin: Duration,
}

/// The CSI Node service of one node.
pub struct Node<H> {
    pub(crate) host: H,
    pub(crate) config: Config,
    pub(crate) records: Records,
    pub(crate) fallback_host: HostIdentity,
    pub(crate) in_flight: InFlight,
    pub(crate) fences: Fences,
    pub(crate) scans: Scans,
    pub(crate) breakers: Breakers,
    pub(crate) orphans: Orphans,
    pub(crate) health: Health,
    pub(crate) losses: Losses,
    pub(crate) metrics: Metrics,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) kubernetes: Kubernetes,
}

/// The node's own directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("state directory: {0}")]
pub struct OpenError(String);

impl<H: Host> Node<H> {
    /// Opens the records, makes the fallback host identity where there is none yet, and shows the
    /// metrics in `registry`.
    ///
    /// # Errors
    /// Where the state directory cannot be made, read or written.
    pub fn open(host: H, config: Config, registry: &mut Registry) -> std::result::Result<Self, OpenError> {
        let records = Records::open(&config.state_dir).map_err(|error| OpenError(error.to_string()))?;
        let fallback_host = fallback_identity(&records).map_err(|error| OpenError(error.to_string()))?;
        Ok(Self {
            host,
            config,
            records,
            fallback_host,
            in_flight: InFlight::default(),
            fences: Fences::default(),
            scans: Scans::default(),
            breakers: Breakers::default(),
            orphans: Orphans::default(),
            health: Health::default(),
            losses: Losses::default(),
            metrics: Metrics::register(registry),
            events: Arc::new(NoEvents),
            kubernetes: Kubernetes::none(),
        })
    }

    /// Says failures of stage and publish there, on the volume's claim. Without it: nowhere.
    #[must_use]
    pub fn with_events(self, events: Arc<dyn Events>) -> Self {
        Self { events, ..self }
    }

    /// Asks these for this node's VolumeAttachments. Without it nothing is asked: no pod is kept off, and only the
    /// operator's word is a fence.
    #[must_use]
    pub fn with_attachments(self, attachments: Arc<dyn Attachments>) -> Self {
        Self { kubernetes: Kubernetes::new(attachments), ..self }
    }

    /// Takes the operator's word that the volume's attachments on this node are over and that what
    /// they have not written may be dropped (node.md rule 5). It holds for the generations that are here now, until
    /// they are gone or this process ends. Returns their NQNs; none here is an empty list.
    ///
    /// # Errors
    /// Where the record or sysfs cannot be read: the text says which and why.
    pub async fn declare_fenced(&self, slot: &Slot) -> std::result::Result<Vec<String>, String> {
        let seen = Seen::observe(self, slot).await.map_err(|error| error.to_string())?;
        let nqns = seen.nqns(slot, &self.config.nqn_prefix);
        tracing::warn!(volume_id = %slot, ?nqns, "declared fenced by the operator");
        self.fences.declare(nqns.clone());
        Ok(nqns)
    }

    /// Takes the operator's word that a volume which fails again and again is to be tried at the next call. Returns how
    /// often it had failed in a row; 0 is a volume that is not left alone.
    pub fn retry_now(&self, slot: &Slot) -> u32 {
        let failures = self.breakers.reset(slot);
        tracing::info!(volume_id = %slot, failures, "tried again at the next call, by the operator's word");
        failures
    }

    /// Counts our connections for the gauges; to be called before each scrape. Reads sysfs only.
    pub async fn refresh_gauges(&self) {
        let connected = self.host.subsystems().await.ok().map(|subsystems| {
            let is_ours = |one: &&Subsystem| {
                !one.controllers.is_empty() && self.config.nqn_prefix.slot_of(&one.nqn).is_some()
            };
            let is_down = |one: &&Subsystem| attached::live_controllers(&subsystems, &one.nqn).is_empty();
            let ours = || subsystems.iter().filter(is_ours);
            Connected { active: ours().count() as u64, down: ours().filter(is_down).count() as u64 }
        });
        self.metrics.set_connections(connected);
    }

    /// Claims a volume for an RPC.
    pub(crate) fn guard(&self, slot: &Slot, rpc: &'static str) -> Result<InFlightGuard> {
        self.in_flight.try_start(slot.as_str(), rpc).map_err(Error::InFlight)
    }

    /// When an answer must be ready: before the caller gives up, so that it learns why.
    pub(crate) fn answer_by(&self, deadline: Instant) -> Instant {
        let left = deadline.saturating_duration_since(Instant::now());
        // A tenth of a short call is still an answer in time.
        deadline - self.config.answer_margin.min(left / 10)
    }
}
