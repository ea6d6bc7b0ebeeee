//! NodePublishVolume: give a pod the staged file system, or the device itself.

mod block;
mod filesystem;
mod recovery;
mod unfenced;

use std::path::{Path, PathBuf};

use csi_grpc::v1::{NodePublishVolumeRequest, NodePublishVolumeResponse};
use host::{Device, Host, Volume};
use tokio::time::Instant;
use tonic::Code;
use volume::Slot;

use crate::Node;
use crate::attachments::Unanswered;
use crate::connect;
use crate::error::{Error, Result};
use crate::mounted::DeviceNumber;
use crate::records::{Phase, StageRecord};
use crate::request::{self, Form, RequestError, Use};
use crate::seen::Seen;

/// The taint by which an administrator says that a node is off (Kubernetes, "Non-graceful node shutdown").
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// What only NodePublishVolume fails with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("volume {slot} is not staged on this node{why}: NodeStageVolume comes first")]
    NotStaged { slot: Slot, why: String },
    #[error("the volume is already published at {}, and it is for one pod only (ReadWriteOncePod)", path.display())]
    SinglePod { path: PathBuf },
    #[error("the volume is published at {} already, {how}: unpublish it first", path.display())]
    Incompatible { path: PathBuf, how: &'static str },
    #[error(
        "{} holds a mount of device {}:{}, but the volume is {device} now: its device was renumbered or lost; delete \
         the pods that use it, so that it is staged again",
        path.display(), found.0, found.1
    )]
    Stale { path: PathBuf, found: DeviceNumber, device: Device },
    #[error(
        "the file system of device {}:{} failed ({error}) and is still used {by}: it cannot be healed under what has it open; \
         delete the pods that use it, and the next one gets it mounted anew",
        device.0, device.1
    )]
    Failed { device: DeviceNumber, error: String, by: String },
    #[error("{} is not mounted, though the volume is recorded as staged there", path.display())]
    NothingStaged { path: PathBuf },
    #[error("Recovery failed after {attempts} attempts: {error}")]
    NotRecovered { attempts: u32, error: Box<Error> },
    #[error("{} is the mount point of something else ({what}): nothing is mounted over it", path.display())]
    TargetTaken { path: PathBuf, what: String },
    #[error("{} became device {found:?} instead of {device}: unmounted again", path.display())]
    WrongDevice { path: PathBuf, found: Option<DeviceNumber>, device: Device },
    #[error(
        "the device is published {count} times already, and more would endanger the node: delete a pod that has it here"
    )]
    TooMany { count: usize },
    #[error(
        "node {member} left this volume without proof that it stopped writing, so no further pod gets it here until \
         that node is Ready again without the volume in use, or is tainted {OUT_OF_SERVICE}, or the last node that has \
         the volume detaches it"
    )]
    Unfenced { member: String },
    #[error("whether a node that left this volume keeps new pods off is not known: {why}; it is asked again")]
    NotAsked { why: Unanswered },
}

impl PublishError {
    /// Final only where nothing was touched.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NotStaged { .. } | Self::SinglePod { .. } => Code::FailedPrecondition,
            Self::Incompatible { .. } => Code::AlreadyExists,
            Self::NotRecovered { error, .. } => error.code(),
            Self::Stale { .. } | Self::NothingStaged { .. } | Self::WrongDevice { .. } => Code::Unavailable,
            // Both pass without the pod's doing: the kubelet is to ask again.
            Self::Unfenced { .. } | Self::NotAsked { .. } => Code::Unavailable,
            Self::TargetTaken { .. } | Self::Failed { .. } => Code::Aborted,
            Self::TooMany { .. } => Code::ResourceExhausted,
        }
    }
}

/// What NodePublishVolume is told.
pub(crate) struct PublishRequest {
    slot: Slot,
    target: PathBuf,
    usage: Use,
    read_only: bool,
    /// The generation that the CO means; the record has the one that is here.
    nqn: Option<String>,
    /// A raw device that several nodes may write: ReadWriteMany.
    shared: bool,
}

impl PublishRequest {
    fn parse(wire: &NodePublishVolumeRequest) -> std::result::Result<Self, RequestError> {
        let slot = request::slot(&wire.volume_id)?;
        request::path("staging_target_path", &wire.staging_target_path)?;
        let target = request::path("target_path", &wire.target_path)?;
        let usage = Use::parse(wire.volume_capability.as_ref(), &wire.publish_context)?;
        let read_only = wire.readonly || usage.read_only;
        let nqn = wire.publish_context.get("nvme_nqn").cloned();
        let shared = request::is_shared_block(wire.volume_capability.as_ref());
        Ok(Self { slot, target, usage, read_only, nqn, shared })
    }
}

/// Serves the RPC, and says its failure.
pub(crate) async fn publish<H: Host>(
    node: &Node<H>,
    wire: &NodePublishVolumeRequest,
    deadline: Instant,
) -> Result<NodePublishVolumeResponse> {
    serve(node, wire, deadline).await.inspect_err(|error| node.say_failure(wire, error))
}

async fn serve<H: Host>(
    node: &Node<H>,
    wire: &NodePublishVolumeRequest,
    deadline: Instant,
) -> Result<NodePublishVolumeResponse> {
    let request = PublishRequest::parse(wire)?;
    let _guard = node.guard(&request.slot, "NodePublishVolume")?;
    node.health.stays(&request.slot);
    let volume = Volume { slot: &request.slot, deadline };
    node.host.join(volume).await?;
    let seen = Seen::observe(node, &request.slot).await?;
    let record = staged(seen.record.clone(), &request)?;
    let seen = recovery::unmount_failed(node, volume, &record, seen).await?;
    let seen = match recovery::is_due(&seen, &record) {
        true => recovery::recover(node, volume, wire).await?,
        false => seen,
    };
    let attached = connect::find(node, volume, record.nqn.as_str(), 0).await?;
    let publish =
        Publish { node, volume, request: &request, staging: &record.staging, device: &attached.device };
    let published = match request.usage.form {
        Form::Block => block::publish(&publish, &seen).await,
        Form::Filesystem { .. } => filesystem::publish(&publish, &seen.mounts).await,
    };
    published.map_err(|error| error.on(publish.device))?;
    Ok(NodePublishVolumeResponse {})
}

/// One publish of a volume whose device is known.
struct Publish<'a, H> {
    node: &'a Node<H>,
    volume: Volume<'a>,
    request: &'a PublishRequest,
    staging: &'a Path,
    device: &'a Device,
}

/// The record, where it says that the volume is staged as it is asked for.
fn staged(
    record: Option<StageRecord>,
    request: &PublishRequest,
) -> std::result::Result<StageRecord, PublishError> {
    let slot = request.slot.clone();
    let Some(record) = record.filter(|record| record.phase == Phase::Staged) else {
        return Err(PublishError::NotStaged { slot, why: String::new() });
    };
    if request.nqn.as_ref().is_some_and(|nqn| nqn != record.nqn.as_str()) {
        let why = format!(" under the attachment that is asked for, but under {}", record.nqn);
        return Err(PublishError::NotStaged { slot, why });
    }
    let is_block = |form: &Form| *form == Form::Block;
    if is_block(&record.usage.form) != is_block(&request.usage.form) {
        let why = if is_block(&record.usage.form) { " as a file system" } else { " as a block device" };
        return Err(PublishError::NotStaged { slot, why: why.to_owned() });
    }
    Ok(record)
}

impl<H: Host> Publish<'_, H> {
    /// ReadWriteOncePod: nobody else may have it.
    fn refuse_second_pod(&self, others: &[PathBuf]) -> std::result::Result<(), PublishError> {
        match others.first() {
            Some(path) if self.request.usage.single_pod => {
                Err(PublishError::SinglePod { path: path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Already published is success only if it is published as it is asked for.
    fn refuse_other_access(&self, options: &[String]) -> std::result::Result<(), PublishError> {
        let read_only = options.iter().any(|option| option == "ro");
        match (read_only, self.request.read_only) {
            (true, false) => Err(self.incompatible("but read-only")),
            (false, true) => Err(self.incompatible("but writable")),
            _ => Ok(()),
        }
    }

    fn incompatible(&self, how: &'static str) -> PublishError {
        PublishError::Incompatible { path: self.request.target.clone(), how }
    }

    /// Binds, and takes back what was made for it where that fails.
    async fn bind(&self, source: &Path) -> Result<()> {
        let Self { node, volume, request, .. } = self;
        let bound = node.host.bind(*volume, source, &request.target, request.read_only).await;
        let bound = node.metrics.mounted("bind", bound);
        if bound.is_err() {
            // What is left empty is no harm, and the retry's.
            let _ = node.host.remove_empty(&request.target).await;
        }
        Ok(bound?)
    }
}
