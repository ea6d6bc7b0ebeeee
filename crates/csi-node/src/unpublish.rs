//! NodeUnpublishVolume: unmount first, look later; what is not there is success; nothing recursive.

use std::path::Path;

use csi_grpc::v1::{NodeUnpublishVolumeRequest, NodeUnpublishVolumeResponse};
use host::{ErrorKind, Host, Volume};
use tokio::time::Instant;

use crate::Node;
use crate::error::Result;
use crate::request;
use crate::seen::Seen;
use crate::{foreign, mounted};

/// Serves the RPC.
pub(crate) async fn unpublish<H: Host>(
    node: &Node<H>,
    wire: &NodeUnpublishVolumeRequest,
    deadline: Instant,
) -> Result<NodeUnpublishVolumeResponse> {
    let slot = request::slot(&wire.volume_id)?;
    let target = request::path("target_path", &wire.target_path)?;
    let _guard = node.guard(&slot, "NodeUnpublishVolume")?;
    let volume = Volume { slot: &slot, deadline };
    cut_off_if_fenced(node, volume).await?;
    // A bind that was abandoned could appear after the look.
    node.host.join(volume).await?;
    let seen = Seen::observe(node, &slot).await?;
    let there = mounted::at(&seen.mounts, &target);
    for entry in &there {
        foreign::refuse_bound(&node.host, &seen, &slot, &node.config.nqn_prefix, entry).await?;
    }
    for _ in &there {
        node.metrics.mounted("unmount", node.host.unmount(volume, &target).await)?;
    }
    release(node, volume, &target).await?;
    node.host.remove_empty(&target).await?;
    Ok(NodeUnpublishVolumeResponse {})
}

/// The flush of a raw device waits for its path. Where that is known never to come back, it is
/// disconnected first, or the kubelet would never get as far as unstaging it (node.md rule 5).
async fn cut_off_if_fenced<H: Host>(node: &Node<H>, volume: Volume<'_>) -> Result<()> {
    let seen = Seen::observe(node, volume.slot).await?;
    let nqns = seen.nqns(volume.slot, &node.config.nqn_prefix);
    let names = || nqns.iter().map(String::as_str);
    if let Some(down) = seen.path_down(names()).filter(|_| node.fences.holds_for(names())) {
        node.say_loss(volume.slot, down, "the attachment was fenced before everything was written");
        node.host.disconnect(volume, down).await?;
    }
    Ok(())
}

/// Flushes and closes a block device's descriptor. The loss that a failed flush tells is said; a device that is
/// gone is closed by then, and newer kernels tell the loss of any other once, so the second attempt may close.
async fn release<H: Host>(node: &Node<H>, volume: Volume<'_>, target: &Path) -> Result<()> {
    let Err(error) = node.host.release(volume, target).await else { return Ok(()) };
    if !matches!(error.kind, ErrorKind::Refused(_)) {
        return Err(error.into());
    }
    node.say_loss(volume.slot, "", &format!("flushing at unpublish failed: {error}"));
    Ok(node.host.release(volume, target).await?)
}
