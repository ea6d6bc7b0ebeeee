//! A staged volume whose device was lost or renumbered since is staged anew before the next pod gets it: the kubelet takes
//! it for staged, and asks for no stage as long as any pod is to have it.
//!
//! Nothing is taken from a pod that still has it: what it has open cannot be healed under it.

use std::collections::BTreeSet;

use csi_grpc::v1::{NodePublishVolumeRequest, NodeStageVolumeRequest};
use host::{Host, Volume};
use tokio::time::{Duration, Instant, sleep};

use super::PublishError;
use crate::Node;
use crate::attached::{self, Number as _};
use crate::error::{Error, Result};
use crate::health::Failure;
use crate::mounted;
use crate::records::StageRecord;
use crate::request::{Form, StageRequest};
use crate::seen::Seen;
use crate::settle::{Remains, SettleError};
use crate::stage;

/// A box that comes back refuses for a moment; what lasts longer is the kubelet's next call's.
const ATTEMPTS: u32 = 3;
/// The pause after the first attempt; each is twice the one before.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether what was staged is no more: no connection, or another device at the staging path than the NQN's. A path that is
/// merely down is neither.
pub(super) fn is_due(seen: &Seen, record: &StageRecord) -> bool {
    let nqn = record.nqn.as_str();
    if attached::controllers(&seen.subsystems, nqn).is_empty() {
        return true;
    }
    let remains = Remains::of(&seen.subsystems, nqn);
    let Some(device) = remains.devices.first().filter(|_| remains.live) else { return false };
    let mounted = mounted::at(&seen.mounts, &record.staging).into_iter().next_back();
    record.usage.form != Form::Block && mounted.map(mounted::number) != Some(device.number())
}

/// Unmounts a file system that failed while its device stayed (node.md K9), unless somebody has it: mounted anew its journal
/// is replayed, and it is whole again. What is left to do then is what [`is_due`] finds.
pub(super) async fn unmount_failed<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    record: &StageRecord,
    seen: Seen,
) -> Result<Seen> {
    let Some(Failure { device, error }) = node.health.failure(volume.slot) else { return Ok(seen) };
    // An unmount of a path that is not live would hang (node.md K4).
    let remains = Remains::of(&seen.subsystems, record.nqn.as_str());
    if !remains.live || !remains.numbers.contains(&device) {
        return Ok(seen);
    }
    let mounts = mounted::filesystems(&seen.mounts, &BTreeSet::from([device]));
    let (staged, used): (Vec<_>, Vec<_>) =
        mounts.into_iter().partition(|entry| entry.target == record.staging);
    let failed = |by| PublishError::Failed { device, error: error.clone(), by };
    if let Some(user) = used.first() {
        return Err(failed(format!("at {}", user.target.display())).into());
    }
    for entry in &staged {
        node.metrics.mounted("unmount", node.host.unmount(volume, &entry.target).await)?;
    }
    // A copy of the mount keeps the dead one, and a new mount would be one more of the same.
    for device in &remains.devices {
        if !node.host.is_free(volume, device).await? {
            let by = "by what this driver does not see (a copy of its mount in another mount namespace, or a process)";
            return Err(failed(by.to_owned()).into());
        }
    }
    node.say_untold(volume.slot, record.nqn.as_str());
    node.health.forget_failure(volume.slot);
    Seen::observe(node, volume.slot).await
}

/// Stages anew, with a few attempts as long as the call has time.
pub(super) async fn recover<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    wire: &NodePublishVolumeRequest,
) -> Result<Seen> {
    let request = StageRequest::parse(&as_stage(wire), &node.config.nqn_prefix)?;
    node.unless_left_alone(&request, stage_anew(node, volume, &request)).await?;
    Seen::observe(node, volume.slot).await
}

async fn stage_anew<H: Host>(node: &Node<H>, volume: Volume<'_>, request: &StageRequest) -> Result<()> {
    let (mut attempts, mut pause) = (1, PAUSE);
    tracing::warn!(volume_id = %volume.slot, "what was staged is stale: staging it anew");
    while let Err(error) = stage::stage_claimed(node, request, volume.deadline).await {
        if attempts == ATTEMPTS || is_hopeless(&error) || Instant::now() + pause >= volume.deadline {
            node.metrics.recovery(false);
            return Err(PublishError::NotRecovered { attempts, error: Box::new(error) }.into());
        }
        sleep(pause).await;
        (attempts, pause) = (attempts + 1, pause * 2);
    }
    node.metrics.recovery(true);
    Ok(())
}

/// Whether somebody has to do something first.
fn is_hopeless(error: &Error) -> bool {
    match error {
        Error::Settle(
            SettleError::InUse { .. } | SettleError::HeldUnseen { .. } | SettleError::StillOpen { .. },
        )
        | Error::Stage(_)
        | Error::Record(_) => true,
        Error::OnDevice { error, .. } => is_hopeless(error),
        _ => false,
    }
}

/// The stage that the kubelet does not ask for: a publish names everything that one does.
fn as_stage(wire: &NodePublishVolumeRequest) -> NodeStageVolumeRequest {
    NodeStageVolumeRequest {
        volume_id: wire.volume_id.clone(),
        publish_context: wire.publish_context.clone(),
        staging_target_path: wire.staging_target_path.clone(),
        volume_capability: wire.volume_capability.clone(),
        volume_context: wire.volume_context.clone(),
        ..NodeStageVolumeRequest::default()
    }
}
