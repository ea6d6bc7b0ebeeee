//! Settling what another generation of a volume left on this node (node.md rule 2).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use host::{Device, Host, MountEntry, Subsystem, Volume};
use tonic::Code;

use crate::Node;
use crate::attached::{self, Number as _};
use crate::error::Result;
use crate::mounted::{self, DeviceNumber};
use crate::records::StageRecord;

/// Why another generation could not be settled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettleError {
    /// A final code would make the kubelet forget the pod that still uses it.
    #[error("an earlier attachment of the volume ({nqn}) is still used at {}: delete that pod first", path.display())]
    InUse { nqn: String, path: PathBuf },
    #[error(
        "{device} of an earlier attachment ({nqn}) is live, mounted nowhere that this driver sees, and held all the \
         same: it is not disconnected under unwritten data"
    )]
    HeldUnseen { nqn: String, device: Device },
    #[error(
        "{device} of an earlier attachment ({nqn}) is still held after its disconnect: a copy of its mount in another \
         mount namespace, or a process"
    )]
    StillOpen { nqn: String, device: Device },
}

impl SettleError {
    /// Always ABORTED: the kubelet retries and remembers.
    pub(crate) fn code(&self) -> Code {
        Code::Aborted
    }
}

/// What a generation has on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remains {
    /// Its NQN.
    pub(crate) nqn: String,
    /// Its devices that sysfs still shows.
    pub(crate) devices: Vec<Device>,
    /// The numbers of its devices, removed ones included.
    pub(crate) numbers: BTreeSet<DeviceNumber>,
    /// Whether it has a controller, in any state.
    pub(crate) connected: bool,
    /// Whether I/O of it still flows.
    pub(crate) live: bool,
}

impl Remains {
    /// What sysfs shows of `nqn`.
    pub(crate) fn of(subsystems: &[Subsystem], nqn: &str) -> Self {
        let ours: Vec<&Subsystem> = subsystems.iter().filter(|subsystem| subsystem.nqn == nqn).collect();
        let namespaces = ours.iter().flat_map(|subsystem| &subsystem.namespaces);
        let devices: Vec<Device> = namespaces.map(|namespace| namespace.device.clone()).collect();
        let numbers = devices.iter().map(Device::number).collect();
        let connected = ours.iter().any(|subsystem| !subsystem.controllers.is_empty());
        let live = !attached::live_controllers(subsystems, nqn).is_empty();
        Self { nqn: nqn.to_owned(), devices, numbers, connected, live }
    }

    /// With the device that its record remembers and sysfs may have no more. Numbers are used again,
    /// after a reboot above all: it counts only while it is still mounted where the record says, and
    /// nothing else has it.
    pub(crate) fn remembering(
        mut self,
        record: Option<&StageRecord>,
        subsystems: &[Subsystem],
        mounts: &[MountEntry],
    ) -> Self {
        let Some(record) = record.filter(|record| record.nqn.as_str() == self.nqn) else { return self };
        let still = |number: &DeviceNumber| {
            attached::owner(subsystems, *number).is_none()
                && mounted::at(mounts, &record.staging).iter().any(|entry| mounted::number(entry) == *number)
        };
        self.numbers.extend(record.device.filter(still));
        self
    }
}

/// Disconnects a generation, then unmounts what the driver had staged of it: the other way round
/// hangs (node.md K4, K5). What it had not written is lost, and said.
pub(crate) async fn settle<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    remains: &Remains,
    mounts: &[MountEntry],
    staging: &[&Path],
) -> Result<()> {
    refuse_users(node, remains, mounts, staging).await?;
    let staged = staged_at(remains, mounts, staging);
    if staged.is_empty() && remains.live {
        // Unmounted is not written (node.md K6): whoever still has it may be writing.
        refuse_held(node, volume, remains).await?;
    }
    if !staged.is_empty() {
        let why = "the attachment was superseded while it was staged";
        node.say_given_up(volume.slot, &remains.nqn, why);
    }
    if remains.connected {
        node.host.disconnect(volume, &remains.nqn).await?;
    }
    // What hung in the old path was freed by that, and by nothing else (node.md rule 7).
    node.host.join(volume).await?;
    node.say_untold(volume.slot, &remains.nqn);
    for path in staged {
        node.metrics.mounted("unmount", node.host.unmount(volume, &path).await)?;
    }
    for device in &remains.devices {
        if !node.host.is_free(volume, device).await? {
            return Err(SettleError::StillOpen { nqn: remains.nqn.clone(), device: device.clone() }.into());
        }
    }
    Ok(())
}

/// A claim on the device also fails for a partition of it that is mounted, and for what is stacked on it.
async fn refuse_held<H: Host>(node: &Node<H>, volume: Volume<'_>, remains: &Remains) -> Result<()> {
    for device in &remains.devices {
        if !node.host.is_free(volume, device).await? {
            return Err(SettleError::HeldUnseen { nqn: remains.nqn.clone(), device: device.clone() }.into());
        }
    }
    Ok(())
}

/// Refuses while a pod uses it: any mount but the staged one, or a block publish.
pub(crate) async fn refuse_users<H: Host>(
    node: &Node<H>,
    remains: &Remains,
    mounts: &[MountEntry],
    staging: &[&Path],
) -> Result<()> {
    match users(node, remains, mounts, staging).await?.into_iter().next() {
        Some(path) => Err(SettleError::InUse { nqn: remains.nqn.clone(), path }.into()),
        None => Ok(()),
    }
}

/// Where a generation is published.
pub(crate) async fn users<H: Host>(
    node: &Node<H>,
    remains: &Remains,
    mounts: &[MountEntry],
    staging: &[&Path],
) -> Result<Vec<PathBuf>> {
    let published = mounted::filesystems(mounts, &remains.numbers).into_iter();
    let mut users: Vec<PathBuf> = published
        .map(|entry| entry.target.clone())
        .filter(|path| !staging.contains(&path.as_path()))
        .collect();
    users.extend(mounted::block_publishes(&node.host, mounts, &remains.numbers).await?);
    Ok(users)
}

/// The staging mounts of a generation, one for each time that it is mounted there.
pub(crate) fn staged_at(remains: &Remains, mounts: &[MountEntry], staging: &[&Path]) -> Vec<PathBuf> {
    let ours = mounted::filesystems(mounts, &remains.numbers).into_iter();
    ours.map(|entry| entry.target.clone()).filter(|path| staging.contains(&path.as_path())).collect()
}
