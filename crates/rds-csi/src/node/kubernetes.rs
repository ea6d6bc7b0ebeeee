//! Kubernetes as a node has it: its events are posted, and its own VolumeAttachments asked for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use csi_node::{Attachments, Config, Node, Standing, Unanswered};
use kubernetes::{ApiError, Client, EventRecorder, Live, cluster_uid};
use prometheus_client::registry::Registry;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use volume::{ClusterHash, ClusterId, NodeId, Slot};

use crate::cluster::Cluster;

/// The reporting controller of a node's events (requirements R14).
const COMPONENT: &str = "rds-csi-node";

/// What waits to be posted at the end gets this long: an API server that answers needs milliseconds for each, and the
/// next process must not wait for one that does not.
const DRAIN: Duration = Duration::from_secs(2);

/// What fills the node's ports.
pub(super) struct Kubernetes {
    recorder: Arc<EventRecorder>,
    attachments: Arc<OwnAttachments>,
}

impl Kubernetes {
    /// Begins to post; its counters are shown in `registry`. The cluster is asked for its id where none is configured,
    /// once somebody has to know.
    pub(super) fn start(
        cluster: Cluster,
        cluster_id: Option<&ClusterId>,
        driver: &str,
        config: &Config,
        registry: &mut Registry,
    ) -> Self {
        let reporter = cluster.reporter(COMPONENT, config.node.name());
        let recorder = EventRecorder::start(cluster.client.clone(), reporter, registry);
        let live = Live::new(cluster.client.clone(), driver, config.nqn_prefix.clone());
        let mark = OnceCell::new_with(cluster_id.map(ClusterId::hash));
        let attachments = OwnAttachments { live, node: config.node.clone(), client: cluster.client, mark };
        Self { recorder: Arc::new(recorder), attachments: Arc::new(attachments) }
    }

    /// The node with its ports filled.
    pub(super) fn given_to<H: host::Host>(&self, node: Node<H>) -> Node<H> {
        node.with_events(Arc::<EventRecorder>::clone(&self.recorder))
            .with_attachments(Arc::<OwnAttachments>::clone(&self.attachments))
    }

    /// Posts what waits, as far as the API server takes it in time.
    pub(super) async fn drain(self) {
        self.recorder.drain(Instant::now() + DRAIN).await;
    }
}

/// The VolumeAttachments of one node, by live GETs of their names.
struct OwnAttachments {
    live: Live,
    node: NodeId,
    client: Client,
    mark: OnceCell<ClusterHash>,
}

#[tonic::async_trait]
impl Attachments for OwnAttachments {
    async fn unfenced_member(&self, volume: &Slot, deadline: Instant) -> Result<Option<String>, Unanswered> {
        self.live.unfenced(volume, &self.node, deadline).await.map_err(unanswered)
    }

    async fn cluster(&self, deadline: Instant) -> Result<ClusterHash, Unanswered> {
        let asked = || async {
            let uid = cluster_uid(&self.client, deadline).await.map_err(unanswered)?;
            let id = ClusterId::parse(&uid).context("the UID of the namespace kube-system");
            id.map(|id| id.hash()).map_err(|error| Unanswered(format!("{error:#}")))
        };
        self.mark.get_or_try_init(asked).await.copied()
    }

    async fn standing(&self, volume: &Slot, deadline: Instant) -> Result<Standing, Unanswered> {
        let found = self.live.attachment(volume, &self.node, deadline).await.map_err(unanswered)?;
        Ok(found.map_or(Standing::Gone, |want| Standing::Attached(want.generation)))
    }
}

fn unanswered(error: ApiError) -> Unanswered {
    Unanswered(error.to_string())
}
