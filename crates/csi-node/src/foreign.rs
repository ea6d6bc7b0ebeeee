//! Two volumes never cross: what is mounted at a path is unmounted only if it can be this volume's.

use std::path::PathBuf;

use host::{Host, MountEntry};
use tonic::Code;
use volume::{NqnPrefix, Slot};

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

/// Refuses a mount that is not known to be this volume's: by the subsystem of its device, or, where the
/// kernel has that no more, by the record.
pub(crate) fn refuse(
    seen: &Seen,
    slot: &Slot,
    prefix: &NqnPrefix,
    entry: &MountEntry,
) -> Result<(), ForeignMount> {
    let number = mounted::number(entry);
    let remembered = seen.record.as_ref().is_some_and(|record| record.device == Some(number));
    match owned(seen, slot, prefix, entry, number)? {
        Owner::Ours => Ok(()),
        Owner::Nobody if remembered => Ok(()),
        Owner::Nobody => Err(unknown(entry)),
    }
}

/// As [`refuse`], but the bind mount of a head's node is told by the device that it leads to. Every head that
/// the kernel has is in a subsystem, so one that is in none is gone, and its name says what it was. A node that
/// outlived its device was not bound for the one that has its number now: to take it away takes nothing from that one.
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
    if !mounted::is_device_bind(entry) {
        return Ok(refuse(seen, slot, prefix, entry)?);
    }
    if mounted::is_outlived(entry) {
        return Ok(());
    }
    match mounted::bound_device(host, &entry.target).await? {
        Some(device) => Ok(owned(seen, slot, prefix, entry, device).map(drop)?),
        None => Err(unknown(entry).into()),
    }
}

enum Owner {
    Ours,
    Nobody,
}

fn unknown(entry: &MountEntry) -> ForeignMount {
    let what = format!("{} on {}:{}", entry.fs, entry.major, entry.minor);
    ForeignMount { path: entry.target.clone(), what }
}

/// Whose a device is.
///
/// # Errors
/// Where it is another subsystem's.
fn owned(
    seen: &Seen,
    slot: &Slot,
    prefix: &NqnPrefix,
    entry: &MountEntry,
    device: DeviceNumber,
) -> Result<Owner, ForeignMount> {
    let ours = |nqn: &str| prefix.slot_of(nqn).is_some_and(|(named, _)| named == *slot);
    match attached::owner(&seen.subsystems, device) {
        None => Ok(Owner::Nobody),
        Some(owner) if ours(&owner.nqn) => Ok(Owner::Ours),
        Some(owner) => Err(ForeignMount { path: entry.target.clone(), what: owner.nqn.clone() }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::records::{StageRecord, test_record};

    #[test]
    fn a_file_system_on_a_device_that_only_somebody_else_knows_is_left_alone() {
        let (slot, prefix) =
            (Slot::parse("a").unwrap(), NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap());
        let nqn = prefix.generation(&slot, volume::Generation::from_bits(1));
        let record = StageRecord { nqn, device: Some((259, 3)), ..test_record("a") };
        let seen = Seen { record: Some(record), subsystems: Vec::new(), mounts: Vec::new() };
        for ((major, minor), is_ours) in [((259, 3), true), ((259, 4), false), ((8, 1), false)] {
            let (target, root) = (PathBuf::from("/staging"), PathBuf::from("/"));
            let entry = MountEntry { target, major, minor, root, fs: "ext4".into(), options: Vec::new() };
            assert_eq!(refuse(&seen, &slot, &prefix, &entry).is_ok(), is_ours, "{entry:?}");
        }
    }
}
