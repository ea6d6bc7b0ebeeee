//! In which order a volume is let go of: pure.

use std::path::{Path, PathBuf};

use host::{ControllerState, MountEntry};
use volume::{FsType, NqnPrefix, Slot};

use super::UnstageError;
use crate::attached;
use crate::mounted;
use crate::records::Phase;
use crate::settle::Remains;
use crate::stage::plan::Seen;

/// The order of letting go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The path is live: sync, unmount, free, disconnect.
    Live,
    /// The path is not, and it is known that it never will be: disconnect, unmount. What was not
    /// written is lost.
    Fenced,
    /// No controller is left, by the kernel's own doing (node.md rule 6): unmount.
    Gone,
}

/// What is to be let go of.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) order: Order,
    /// Every generation of the volume that is here.
    pub(super) remains: Vec<Remains>,
    /// The staging mounts, one for each time that it is mounted.
    pub(super) staged: Vec<PathBuf>,
    /// An earlier attempt synced it already.
    pub(super) synced: bool,
}

/// Decides.
///
/// # Errors
/// Where the path is not live and nobody said that it is fenced, or the staging path is another's.
pub(super) fn plan(
    seen: &Seen,
    slot: &Slot,
    staging: &Path,
    prefix: &NqnPrefix,
    is_fenced: bool,
) -> Result<Plan, UnstageError> {
    let record = seen.record.as_ref();
    let remains: Vec<Remains> = nqns(seen, slot, prefix)
        .into_iter()
        .map(|nqn| Remains::of(&seen.subsystems, &nqn).remembering(record, &seen.subsystems, &seen.mounts))
        .collect();
    let mut paths = vec![staging];
    paths.extend(record.map(|record| record.staging.as_path()).filter(|path| *path != staging));
    let mut staged = Vec::new();
    for entry in paths.iter().flat_map(|path| mounted::at(&seen.mounts, path)) {
        refuse_foreign(seen, slot, prefix, entry)?;
        staged.push(entry.target.clone());
    }
    let order = order(seen, &remains, is_fenced)?;
    let synced = record.is_some_and(|record| record.phase == Phase::Unstaging);
    Ok(Plan { order, remains, staged, synced })
}

/// Every generation that sysfs shows (node.md rule 12), and the record's.
pub(super) fn nqns(seen: &Seen, slot: &Slot, prefix: &NqnPrefix) -> Vec<String> {
    let shown = attached::of_slot(&seen.subsystems, prefix, slot);
    let mut nqns: Vec<String> = shown.iter().map(|subsystem| subsystem.nqn.clone()).collect();
    nqns.extend(seen.record.iter().map(|record| record.nqn.to_string()));
    nqns.sort();
    nqns.dedup();
    nqns
}

fn order(seen: &Seen, remains: &[Remains], is_fenced: bool) -> Result<Order, UnstageError> {
    let connected: Vec<&Remains> = remains.iter().filter(|remains| remains.connected).collect();
    let down = connected
        .iter()
        .find(|remains| attached::live_controllers(&seen.subsystems, &remains.nqn).is_empty());
    match down {
        _ if connected.is_empty() => Ok(Order::Gone),
        None => Ok(Order::Live),
        Some(_) if is_fenced => Ok(Order::Fenced),
        Some(down) => Err(UnstageError::PathDown { nqn: down.nqn.clone(), states: states(seen, &down.nqn) }),
    }
}

fn states(seen: &Seen, nqn: &str) -> String {
    let shown = |state: &ControllerState| match state {
        ControllerState::Other(word) => word.clone(),
        state => format!("{state:?}").to_lowercase(),
    };
    let controllers = attached::controllers(&seen.subsystems, nqn).into_iter();
    controllers.map(|one| format!("{} {}", one.name, shown(&one.state))).collect::<Vec<_>>().join(", ")
}

/// Two volumes never cross: a mount whose device is another subsystem's, or that no volume of ours
/// can be, stays.
pub(crate) fn refuse_foreign(
    seen: &Seen,
    slot: &Slot,
    prefix: &NqnPrefix,
    entry: &MountEntry,
) -> Result<(), UnstageError> {
    let owner = attached::owner(&seen.subsystems, mounted::number(entry));
    let ours = |nqn: &str| prefix.slot_of(nqn).is_some_and(|(named, _)| named == *slot);
    let foreign = owner.is_some_and(|owner| !ours(&owner.nqn));
    let served = [FsType::Ext4, FsType::Xfs].iter().any(|fs| fs.name() == entry.fs);
    if !foreign && (served || mounted::is_device_bind(entry)) {
        return Ok(());
    }
    Err(UnstageError::Foreign {
        path: entry.target.clone(),
        what: match owner {
            Some(owner) => owner.nqn.clone(),
            None => format!("{} on {}:{}", entry.fs, entry.major, entry.minor),
        },
    })
}
