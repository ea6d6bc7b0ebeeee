//! NodeUnstageVolume: success only when the file system was synced or its loss was said, and sysfs
//! shows the NQN gone (design decision 10; node.md rules 4 to 6).

mod plan;

use std::path::Path;

use csi_grpc::v1::{NodeUnstageVolumeRequest, NodeUnstageVolumeResponse};
use host::{Device, ErrorKind, Host, Volume};
use tokio::time::Instant;
use tonic::Code;
use volume::Slot;

use crate::Node;
use crate::attached;
use crate::error::Result;
use crate::records::Phase;
use crate::request;
use crate::seen::Seen;
use crate::settle;

use plan::{Order, Plan};

/// What only NodeUnstageVolume fails with: nothing of it is final.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnstageError {
    #[error(
        "the path of {nqn} is not live ({states}), and what was not written yet is kept: it is tried again until \
         ctrl_loss_tmo is over; if the device will not come back, declare the volume fenced on this node"
    )]
    PathDown { nqn: String, states: String },
    #[error(
        "{device} of {nqn} is unmounted here, but still held: a copy of its mount in another mount namespace, or a \
         process; it is not disconnected under unwritten data"
    )]
    StillOpen { nqn: String, device: Device },
    #[error("{nqn} still has a controller after its disconnect")]
    StillConnected { nqn: String },
}

impl UnstageError {
    /// UNAVAILABLE or ABORTED.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::PathDown { .. } | Self::StillConnected { .. } => Code::Unavailable,
            Self::StillOpen { .. } => Code::Aborted,
        }
    }
}

/// Serves the RPC.
pub(crate) async fn unstage<H: Host>(
    node: &Node<H>,
    wire: &NodeUnstageVolumeRequest,
    deadline: Instant,
) -> Result<NodeUnstageVolumeResponse> {
    let slot = request::slot(&wire.volume_id)?;
    let staging = request::path("staging_target_path", &wire.staging_target_path)?;
    let _guard = node.guard(&slot, "NodeUnstageVolume")?;
    let volume = Volume { slot: &slot, deadline };
    let is_fenced = join(node, volume).await?;
    let seen = Seen::observe(node, &slot).await?;
    let plan = plan::plan(&seen, &slot, &staging, &node.config.nqn_prefix, is_fenced)?;
    refuse_users(node, &seen, &plan, &staging).await?;
    match plan.order {
        Order::Live => let_go(node, volume, &seen, &plan).await?,
        Order::Fenced => cut_off(node, volume, &plan).await?,
        Order::Gone => clear(node, volume, &plan).await?,
    }
    forget(node, &slot, &plan).await?;
    Ok(NodeUnstageVolumeResponse {})
}

/// Joins every helper of the volume, connects included. Only a fence lets it go on past one that
/// hangs, since only its disconnect frees that one. Whether it is fenced.
async fn join<H: Host>(node: &Node<H>, volume: Volume<'_>) -> Result<bool> {
    let seen = Seen::observe(node, volume.slot).await?;
    let is_fenced = node.is_fenced(volume, &seen).await;
    let joined = if is_fenced { Ok(()) } else { node.host.join(volume).await };
    if joined.is_ok() {
        node.scans.forget(volume.slot);
    }
    Ok(joined.map(|()| is_fenced)?)
}

async fn refuse_users<H: Host>(node: &Node<H>, seen: &Seen, plan: &Plan, staging: &Path) -> Result<()> {
    let mut paths = vec![staging];
    paths.extend(seen.record.as_ref().map(|record| record.staging.as_path()));
    for remains in &plan.remains {
        settle::refuse_users(node, remains, &seen.mounts, &paths).await?;
    }
    Ok(())
}

/// The usual order: everything is written before anything is cut.
async fn let_go<H: Host>(node: &Node<H>, volume: Volume<'_>, seen: &Seen, plan: &Plan) -> Result<()> {
    sync(node, volume, plan).await?;
    unmount(node, volume, plan).await?;
    free(node, volume, plan).await?;
    if let Some(record) = &seen.record {
        node.records.save(&crate::records::StageRecord { phase: Phase::Unstaging, ..record.clone() })?;
    }
    disconnect(node, volume, plan).await
}

/// Fenced: the unmount of a path that is not live would hang for ever (node.md K4).
async fn cut_off<H: Host>(node: &Node<H>, volume: Volume<'_>, plan: &Plan) -> Result<()> {
    node.say_given_up(volume.slot, plan.nqn(), "the attachment was fenced before everything was written");
    disconnect(node, volume, plan).await?;
    node.host.join(volume).await?;
    unmount(node, volume, plan).await?;
    free(node, volume, plan).await
}

/// The kernel removed the controllers itself; what is still mounted is dead.
async fn clear<H: Host>(node: &Node<H>, volume: Volume<'_>, plan: &Plan) -> Result<()> {
    if plan.may_lose {
        let why = "the connection was removed by the kernel while the volume was staged";
        node.say_given_up(volume.slot, plan.nqn(), why);
    }
    unmount(node, volume, plan).await?;
    free(node, volume, plan).await
}

/// Writes everything back. The kernel's own error is the loss of something, told once: it is said
/// here and gone on from; a sync that did not run or has not ended is the retry's.
async fn sync<H: Host>(node: &Node<H>, volume: Volume<'_>, plan: &Plan) -> Result<()> {
    let mut outcomes = Vec::new();
    match plan.staged.first() {
        Some(path) => outcomes.push(node.host.sync(volume, path).await),
        None => {
            for device in plan.remains.iter().flat_map(|remains| &remains.devices) {
                outcomes.push(node.host.flush(volume, device).await);
            }
        }
    }
    for outcome in outcomes {
        match outcome {
            Err(error) if error.kind == ErrorKind::Unwritten => {
                node.say_loss(volume.slot, plan.nqn(), &format!("syncing failed: {error}"));
            }
            // It has not run, or not to its end: nothing is lost by trying again.
            Err(error) => return Err(error.into()),
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn unmount<H: Host>(node: &Node<H>, volume: Volume<'_>, plan: &Plan) -> Result<()> {
    node.health.leaves(volume.slot);
    for path in plan.staged.iter().rev() {
        node.metrics.mounted("unmount", node.host.unmount(volume, path).await)?;
    }
    Ok(())
}

/// An empty mountinfo proves nothing (node.md K4, K6): the device must be free.
async fn free<H: Host>(node: &Node<H>, volume: Volume<'_>, plan: &Plan) -> Result<()> {
    for remains in &plan.remains {
        for device in &remains.devices {
            if !node.host.is_free(volume, device).await? {
                return Err(
                    UnstageError::StillOpen { nqn: remains.nqn.clone(), device: device.clone() }.into()
                );
            }
        }
    }
    Ok(())
}

async fn disconnect<H: Host>(node: &Node<H>, volume: Volume<'_>, plan: &Plan) -> Result<()> {
    for remains in plan.remains.iter().filter(|remains| remains.connected) {
        node.host.disconnect(volume, &remains.nqn).await?;
    }
    Ok(())
}

/// The last look at sysfs, and only then the record goes.
async fn forget<H: Host>(node: &Node<H>, slot: &Slot, plan: &Plan) -> Result<()> {
    let subsystems = node.host.subsystems().await?;
    let shown = attached::of_slot(&subsystems, &node.config.nqn_prefix, slot).into_iter();
    if let Some(left) = shown.into_iter().find(|subsystem| !subsystem.controllers.is_empty()) {
        return Err(UnstageError::StillConnected { nqn: left.nqn.clone() }.into());
    }
    node.say_untold(slot, plan.nqn());
    node.records.remove(slot)?;
    node.breakers.reset(slot);
    node.health.forget_failure(slot);
    node.losses.forget(slot);
    node.fences.forget(plan.remains.iter().map(|remains| remains.nqn.as_str()));
    Ok(())
}
