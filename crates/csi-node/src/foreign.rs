//! Two volumes never cross: what is mounted at a path is unmounted only if it can be this volume's.

use std::path::PathBuf;

use host::{Host, MountEntry};
use tonic::Code;
use volume::{FsType, NqnPrefix, Slot};

use crate::attached;
use crate::mounted::{self, DeviceNumber};
use crate::seen::Seen;

/// A mount that is not this volume's.
#[derive(Debug, thiserror::Error)]
#[error("{} is the mount point of {what}, not of this volume: it is left alone", path.display())]
pub(crate) struct ForeignMount {
    path: PathBuf,
    what: String,
}

impl ForeignMount {
    /// ABORTED: nothing was touched, and the kubelet must not forget the volume for it.
    pub(crate) fn code(&self) -> Code {
        Code::Aborted
    }
}

/// Refuses a mount whose device is another subsystem's, or that no volume of ours can be.
pub(crate) fn refuse(
    seen: &Seen,
    slot: &Slot,
    prefix: &NqnPrefix,
    entry: &MountEntry,
) -> Result<(), ForeignMount> {
    refuse_device(seen, slot, prefix, entry, mounted::number(entry))?;
    let served = [FsType::Ext4, FsType::Xfs].iter().any(|fs| fs.name() == entry.fs);
    match served || mounted::is_device_bind(entry) {
        true => Ok(()),
        false => Err(ForeignMount {
            path: entry.target.clone(),
            what: format!("{} on {}:{}", entry.fs, entry.major, entry.minor),
        }),
    }
}

/// As [`refuse`], and for the bind mount of a device node also by the device that it leads to.
///
/// # Errors
/// Where that cannot be looked at, or the mount is foreign.
pub(crate) async fn refuse_bound<H: Host>(
    host: &H,
    seen: &Seen,
    slot: &Slot,
    prefix: &NqnPrefix,
    entry: &MountEntry,
) -> crate::error::Result<()> {
    refuse(seen, slot, prefix, entry)?;
    if mounted::is_device_bind(entry)
        && let Some(device) = mounted::bound_device(host, &entry.target).await?
    {
        refuse_device(seen, slot, prefix, entry, device)?;
    }
    Ok(())
}

fn refuse_device(
    seen: &Seen,
    slot: &Slot,
    prefix: &NqnPrefix,
    entry: &MountEntry,
    device: DeviceNumber,
) -> Result<(), ForeignMount> {
    let ours = |nqn: &str| prefix.slot_of(nqn).is_some_and(|(named, _)| named == *slot);
    match attached::owner(&seen.subsystems, device).filter(|owner| !ours(&owner.nqn)) {
        Some(owner) => Err(ForeignMount { path: entry.target.clone(), what: owner.nqn.clone() }),
        None => Ok(()),
    }
}
