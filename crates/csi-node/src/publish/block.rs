//! A raw device is bound on a file (node.md rule 10): its number and NQN are compared at every
//! publish, and a helper holds it open, so that the number is not given to another device.

use std::collections::BTreeSet;
use std::path::PathBuf;

use host::{Host, MountEntry};

use super::{Publish, PublishError, unfenced};
use crate::attached::Number as _;
use crate::error::Result;
use crate::seen::Seen;
use crate::{foreign, mounted, unpublish};

pub(super) async fn publish<H: Host>(publish: &Publish<'_, H>, seen: &Seen) -> Result<()> {
    let Publish { node, volume, request, device, .. } = publish;
    let there = there(publish, seen).await?;
    if there == There::Device {
        return Ok(node.host.hold(*volume, device, &request.target).await?);
    }
    refuse_one_too_many(publish, &seen.mounts).await?;
    unfenced::refuse(publish).await?;
    match there {
        There::Stale => take_away(publish, seen).await?,
        // A call that was killed before it bound anything may have held the device of before a renumbering.
        _ => unpublish::release(node, *volume, &request.target).await?,
    }
    node.host.make_file(&request.target).await?;
    // Held first: from here on the number that is bound stays this device's.
    node.host.hold(*volume, device, &request.target).await?;
    if let Err(error) = publish.bind(&device.path()).await {
        node.host.release(*volume, &request.target).await?;
        return Err(error);
    }
    check(publish).await
}

async fn refuse_one_too_many<H: Host>(publish: &Publish<'_, H>, mounts: &[MountEntry]) -> Result<()> {
    let others = others(publish, mounts).await?;
    publish.refuse_second_pod(&others)?;
    let (count, most) = (others.len(), publish.node.config.max_block_publishes);
    if count >= most {
        let slot = &publish.request.slot;
        tracing::error!(volume_id = %slot, count, "a mount storm of a block device was refused");
        return Err(PublishError::TooMany { count }.into());
    }
    Ok(())
}

/// Where other pods have it.
async fn others<H: Host>(publish: &Publish<'_, H>, mounts: &[MountEntry]) -> Result<Vec<PathBuf>> {
    let devices = BTreeSet::from([publish.device.number()]);
    let mut all = mounted::block_publishes(&publish.node.host, mounts, &devices).await?;
    all.retain(|path| *path != publish.request.target && !mounted::is_kubelets(path));
    Ok(all)
}

/// What is at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    /// Nothing.
    Nothing,
    /// The right device, as it is asked for.
    Device,
    /// A wrong one of this volume, left from before a renumbering.
    Stale,
}

/// Looks at the target. Another volume's device, and anything but a device node, is refused.
async fn there<H: Host>(publish: &Publish<'_, H>, seen: &Seen) -> Result<There> {
    let Publish { node, request, device, .. } = publish;
    let there = mounted::at(&seen.mounts, &request.target);
    let Some(top) = there.last() else { return Ok(There::Nothing) };
    let Some(found) = mounted::bound_device(&node.host, &request.target).await? else {
        let what = format!("{} on {}:{}", top.fs, top.major, top.minor);
        return Err(PublishError::TargetTaken { path: request.target.clone(), what }.into());
    };
    if found == device.number() {
        publish.refuse_other_access(&top.options)?;
        return Ok(There::Device);
    }
    for entry in &there {
        foreign::refuse_bound(&node.host, seen, &request.slot, &node.config.nqn_prefix, entry).await?;
    }
    Ok(There::Stale)
}

async fn take_away<H: Host>(publish: &Publish<'_, H>, seen: &Seen) -> Result<()> {
    let Publish { node, volume, request, device, .. } = publish;
    tracing::warn!(target = %request.target.display(), %device, "another device was published here: replaced");
    for _ in mounted::at(&seen.mounts, &request.target) {
        node.metrics.mounted("unmount", node.host.unmount(*volume, &request.target).await)?;
    }
    node.host.release(*volume, &request.target).await?;
    Ok(())
}

/// The device node was found by name; only its number says what was bound.
async fn check<H: Host>(publish: &Publish<'_, H>) -> Result<()> {
    let Publish { node, volume, request, device, .. } = publish;
    let found = mounted::bound_device(&node.host, &request.target).await?;
    if found == Some(device.number()) {
        return Ok(());
    }
    node.metrics.mounted("unmount", node.host.unmount(*volume, &request.target).await)?;
    node.host.release(*volume, &request.target).await?;
    let (path, device) = (request.target.clone(), (*device).clone());
    Err(PublishError::WrongDevice { path, found, device }.into())
}
