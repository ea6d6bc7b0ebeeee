//! Kubernetes as the controller has it: what fills its ports.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use csi_controller::{AllAttachments, Cluster as ClusterPort, ClusterNode, Unanswered};
use csi_controller::{Attachments, Controller, Machines};
use kubernetes::{ApiError, Changes, Claims, EventRecorder, Live, Mirror};
use prometheus_client::registry::Registry;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use volume::{Claim, ClusterId, NodeId, NqnPrefix, Slot};

use super::election::Election;
use crate::cluster::Cluster;
use crate::failure::Failure;

/// The reporting controller of the controller's events (requirements R14).
const COMPONENT: &str = "rds-csi-controller";

/// What waits to be posted at the end gets this long, as on a node.
const DRAIN: Duration = Duration::from_secs(2);

/// How long the API server is asked for the cluster's id before this process ends and is started again: shorter than
/// the sidecars' own patience with the socket, which is opened after it.
const ID_PATIENCE: Duration = Duration::from_secs(20);

/// Between two tries.
const ID_PAUSE: Duration = Duration::from_secs(1);

/// What fills the controller's ports.
pub(super) struct Kubernetes {
    recorder: Arc<EventRecorder>,
    asked: Arc<Asked>,
    pub(super) election: Arc<Election>,
}

impl Kubernetes {
    /// Begins to watch and to post until `stop`; counters are shown in `registry`. Nobody is elected yet.
    pub(super) fn start(
        cluster: Cluster,
        driver: &str,
        prefix: &NqnPrefix,
        election: Election,
        registry: &mut Registry,
        stop: &CancellationToken,
    ) -> Self {
        let recorder =
            EventRecorder::start(cluster.client.clone(), cluster.reporter(COMPONENT, COMPONENT), registry);
        let claims = Claims::watch(cluster.client.clone(), driver, stop.child_token());
        let asked = Asked {
            changes: Changes::watch(cluster.client.clone(), driver, stop.child_token()),
            mirror: Mirror::start(cluster.client.clone(), claims.clone(), stop.child_token()),
            live: Live::new(cluster.client, driver, prefix.clone()),
            claims,
        };
        Self { recorder: Arc::new(recorder), asked: Arc::new(asked), election: Arc::new(election) }
    }

    /// The controller with its ports filled.
    pub(super) fn given_to<T: routeros::Transport>(&self, controller: Controller<T>) -> Controller<T> {
        controller
            .with_cluster(Arc::<Asked>::clone(&self.asked))
            .with_events(Arc::<EventRecorder>::clone(&self.recorder))
            .with_leadership(Arc::<Election>::clone(&self.election))
    }

    /// Posts what waits, as far as the API server takes it in time.
    pub(super) async fn drain(&self) {
        self.recorder.drain(Instant::now() + DRAIN).await;
    }
}

/// The cluster's id where none is configured.
///
/// # Errors
/// Where there is no Kubernetes to ask, or it does not answer.
pub(super) async fn cluster_id(cluster: Option<&Cluster>) -> Result<ClusterId, Failure> {
    let Some(cluster) = cluster else {
        return Err(Failure::Setup(anyhow!("--cluster-id is required without Kubernetes")));
    };
    let deadline = Instant::now() + ID_PATIENCE;
    loop {
        match kubernetes::cluster_uid(&cluster.client, deadline).await {
            Ok(uid) => {
                let id = ClusterId::parse(&uid).context("the UID of the namespace kube-system");
                return id.map_err(Failure::Setup);
            }
            Err(error) if error.is_retriable() && Instant::now() + ID_PAUSE < deadline => {
                tracing::warn!(%error, "the cluster's id is not known yet (--cluster-id would say it)");
            }
            Err(error) => {
                let said = anyhow!(error).context("the cluster's id is not known; give it by --cluster-id");
                return Err(Failure::Serving(said));
            }
        }
        sleep(ID_PAUSE).await;
    }
}

/// The API server, asked live, and what watches keep in memory.
struct Asked {
    live: Live,
    claims: Claims,
    changes: Changes,
    mirror: Mirror,
}

#[tonic::async_trait]
impl ClusterPort for Asked {
    async fn node(
        &self,
        node: &NodeId,
        slot: &Slot,
        deadline: Instant,
    ) -> Result<Option<ClusterNode>, Unanswered> {
        let found = self.live.node(node, slot, deadline).await.map_err(unanswered)?;
        Ok(found.map(|node| ClusterNode { uid: node.uid, facts: node.facts }))
    }

    async fn attachments(&self, slot: &Slot, deadline: Instant) -> Result<Attachments, Unanswered> {
        self.live.attachments(slot, &self.claims, deadline).await.map_err(unanswered)
    }

    async fn all_attachments(&self, deadline: Instant) -> Result<AllAttachments, Unanswered> {
        let all = self.live.volume_attachments(deadline).await.map_err(unanswered)?;
        Ok(AllAttachments { wants: all.wants, unmapped: all.unmapped })
    }

    async fn surveyed_attachments(&self, deadline: Instant) -> Result<AllAttachments, Unanswered> {
        let all = self.live.surveyed_attachments(&self.claims, deadline).await.map_err(unanswered)?;
        Ok(AllAttachments { wants: all.wants, unmapped: all.unmapped })
    }

    async fn machines(&self, slot: &Slot, node: &NodeId, deadline: Instant) -> Result<Machines, Unanswered> {
        let unknown = || Unanswered(format!("no PersistentVolume of {slot} with a claim is known yet"));
        let claim = self.claims.claim(slot).ok_or_else(unknown)?;
        self.live.machines(&claim, node, deadline).await.map_err(unanswered)
    }

    fn claim(&self, slot: &Slot) -> Option<Claim> {
        self.claims.claim(slot)
    }

    fn synced(&self) -> Result<(), Unanswered> {
        let claims = (!self.claims.is_synced()).then_some("PersistentVolumes");
        let missing = |kind| Unanswered(format!("the watch of {kind} has not shown its first list yet"));
        claims.or_else(|| self.changes.awaited()).map_or(Ok(()), |kind| Err(missing(kind)))
    }

    fn mirror(&self, slot: &Slot, attached: Option<&NodeId>) {
        self.mirror.set(slot, attached);
    }

    async fn mark_unfenced(
        &self,
        slot: &Slot,
        node: &NodeId,
        unfenced: Option<&str>,
        deadline: Instant,
    ) -> Result<(), Unanswered> {
        // Where there is none, no pod gets the volume: the next one comes with a ControllerPublish, which marks it.
        self.live.mark_unfenced(slot, node, unfenced, deadline).await.map(drop).map_err(unanswered)
    }

    async fn changed(&self) {
        self.changes.changed().await;
    }
}

fn unanswered(error: ApiError) -> Unanswered {
    Unanswered(error.to_string())
}
