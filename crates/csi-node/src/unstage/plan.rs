//! In which order a volume is let go of: pure.

use std::path::{Path, PathBuf};

use host::ControllerState;
use volume::{NqnPrefix, Slot};

use super::UnstageError;
use crate::attached;
use crate::error::Result;
use crate::records::Phase;
use crate::seen::Seen;
use crate::settle::Remains;
use crate::{foreign, mounted};

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
    /// Something may have been written that no sync has told to be safe.
    pub(super) may_lose: bool,
}

impl Plan {
    /// Whom a loss is said of.
    pub(super) fn nqn(&self) -> &str {
        self.remains.first().map_or("", |remains| remains.nqn.as_str())
    }
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
) -> Result<Plan> {
    let record = seen.record.as_ref();
    let remains: Vec<Remains> = seen
        .nqns(slot, prefix)
        .into_iter()
        .map(|nqn| Remains::of(&seen.subsystems, &nqn).remembering(record, &seen.subsystems, &seen.mounts))
        .collect();
    let mut paths = vec![staging];
    paths.extend(record.map(|record| record.staging.as_path()).filter(|path| *path != staging));
    let mut staged = Vec::new();
    for entry in paths.iter().flat_map(|path| mounted::at(&seen.mounts, path)) {
        foreign::refuse(seen, slot, prefix, entry)?;
        staged.push(entry.target.clone());
    }
    let order = order(seen, &remains, is_fenced)?;
    let synced = record.is_some_and(|record| record.phase == Phase::Unstaging);
    // A device that was seen was mounted or published, or about to be.
    let used = !staged.is_empty() || record.is_some_and(|record| record.device.is_some());
    Ok(Plan { order, remains, staged, may_lose: used && !synced })
}

fn order(seen: &Seen, remains: &[Remains], is_fenced: bool) -> Result<Order> {
    let connected = || remains.iter().filter(|remains| remains.connected);
    match seen.path_down(connected().map(|remains| remains.nqn.as_str())) {
        _ if connected().next().is_none() => Ok(Order::Gone),
        None => Ok(Order::Live),
        Some(_) if is_fenced => Ok(Order::Fenced),
        Some(nqn) => Err(UnstageError::PathDown { nqn: nqn.to_owned(), states: states(seen, nqn) }.into()),
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
