//! NodeUnpublishVolume: unmount first, look later; what is not there is success; nothing recursive.

use std::path::Path;

use csi_grpc::v1::{NodeUnpublishVolumeRequest, NodeUnpublishVolumeResponse};
use host::{Error, ErrorKind, Host, MountEntry, Volume};
use tokio::time::Instant;
use volume::{NqnPrefix, Slot};

use crate::Node;
use crate::attached;
use crate::error::Result;
use crate::mounted;
use crate::request;
use crate::stage::plan::Seen;
use crate::unstage::{UnstageError, plan::refuse_foreign};

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
    // A bind that was abandoned could appear after this look.
    node.host.join(volume).await?;
    let seen = Seen::observe(node, &slot).await?;
    for entry in mounted::at(&seen.mounts, &target) {
        refuse_other_volume(node, &seen, &slot, entry).await?;
        node.metrics.mounted("unmount", node.host.unmount(volume, &target).await)?;
    }
    release(node, volume, &target).await?;
    node.host.remove_empty(&target).await?;
    Ok(NodeUnpublishVolumeResponse {})
}

/// A mount of another volume at this path is not this volume's to unmount.
async fn refuse_other_volume<H: Host>(
    node: &Node<H>,
    seen: &Seen,
    slot: &Slot,
    entry: &MountEntry,
) -> Result<()> {
    let prefix: &NqnPrefix = &node.config.nqn_prefix;
    refuse_foreign(seen, slot, prefix, entry)?;
    if !mounted::is_device_bind(entry) {
        return Ok(());
    }
    let Some(device) = mounted::bound_device(&node.host, &entry.target).await? else { return Ok(()) };
    let owner = attached::owner(&seen.subsystems, device);
    match owner.filter(|owner| prefix.slot_of(&owner.nqn).is_none_or(|(named, _)| named != *slot)) {
        None => Ok(()),
        Some(owner) => {
            Err(UnstageError::Foreign { path: entry.target.clone(), what: owner.nqn.clone() }.into())
        }
    }
}

/// Flushes and closes a block device's descriptor. The kernel says a loss once: after it was said
/// here, the second flush tells whether the descriptor can go.
async fn release<H: Host>(node: &Node<H>, volume: Volume<'_>, target: &Path) -> Result<()> {
    match node.host.release(volume, target).await {
        Err(Error { kind: ErrorKind::Refused(_), message }) => {
            node.say_loss(volume.slot, "", &format!("flushing at unpublish failed: {message}"));
            Ok(node.host.release(volume, target).await?)
        }
        released => Ok(released?),
    }
}
