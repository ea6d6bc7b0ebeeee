//! What the node needs of Kubernetes: its own VolumeAttachment of a volume, by a **live** GET of its name. A port,
//! filled by the binary with the adapters of the crate `kubernetes`.

use std::future::Future;
use std::sync::Arc;

use tokio::time::{Duration, Instant, timeout_at};
use volume::{ClusterHash, Generation, Slot};

/// A GET by name takes milliseconds. What takes longer is an outage of the API server, and the call has other
/// things to do in its time.
const ASK_TIME: Duration = Duration::from_secs(10);

/// Why Kubernetes did not say: nothing is known then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

/// What became of the attachment of a volume to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its VolumeAttachment is there, deleting or not, and its attachment metadata names this generation; `None`:
    /// no generation, as while it is being attached, or for a volume under a fixed NQN.
    Attached(Option<Generation>),
    /// The API server answered that there is no VolumeAttachment.
    Gone,
}

/// The VolumeAttachments of this node. Each answer is from a request of its own, never from a cache, and comes by the
/// deadline.
#[tonic::async_trait]
pub trait Attachments: Send + Sync {
    /// The annotation `rds.csi.srvlab.io/unfenced-member` of the volume's VolumeAttachment: a member of the migration
    /// that left unproven and keeps new pods off this node (attachments.md, "Unpublish"). `None`: there is no
    /// annotation, or no VolumeAttachment.
    async fn unfenced_member(&self, volume: &Slot, deadline: Instant) -> Result<Option<String>, Unanswered>;

    /// The mark of the cluster that this node is in: whose volumes it may call orphans (node.md rule 13). It never
    /// changes, so it is the one answer that may be remembered.
    async fn cluster(&self, deadline: Instant) -> Result<ClusterHash, Unanswered>;

    /// What became of the volume's attachment (node.md rule 5).
    async fn standing(&self, volume: &Slot, deadline: Instant) -> Result<Standing, Unanswered>;
}

/// The port where there is one, with a limit of time that holds whatever fills it.
pub(crate) struct Kubernetes(Option<Arc<dyn Attachments>>);

impl Kubernetes {
    /// There is none: nobody ever keeps a pod off, and no attachment is ever known to be over.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// There is one.
    pub(crate) fn new(attachments: Arc<dyn Attachments>) -> Self {
        Self(Some(attachments))
    }

    /// As [`Attachments::unfenced_member`].
    pub(crate) async fn unfenced_member(
        &self,
        volume: &Slot,
        deadline: Instant,
    ) -> Result<Option<String>, Unanswered> {
        let Some(attachments) = &self.0 else { return Ok(None) };
        in_time(deadline, |until| attachments.unfenced_member(volume, until)).await
    }

    /// As [`Attachments::cluster`]; `None`: there is nobody to ask.
    pub(crate) async fn cluster(&self, deadline: Instant) -> Result<Option<ClusterHash>, Unanswered> {
        let Some(attachments) = &self.0 else { return Ok(None) };
        in_time(deadline, |until| attachments.cluster(until)).await.map(Some)
    }

    /// As [`Attachments::standing`]; `None`: there is nobody to ask.
    pub(crate) async fn standing(
        &self,
        volume: &Slot,
        deadline: Instant,
    ) -> Result<Option<Standing>, Unanswered> {
        let Some(attachments) = &self.0 else { return Ok(None) };
        in_time(deadline, |until| attachments.standing(volume, until)).await.map(Some)
    }
}

async fn in_time<T, F>(deadline: Instant, ask: impl FnOnce(Instant) -> F) -> Result<T, Unanswered>
where
    F: Future<Output = Result<T, Unanswered>>,
{
    let until = deadline.min(Instant::now() + ASK_TIME);
    let answered = timeout_at(until, ask(until)).await;
    answered.unwrap_or_else(|_| Err(Unanswered("the API server did not answer in time".into())))
}
