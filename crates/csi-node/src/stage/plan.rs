//! What is to be done to stage a volume: pure.

use std::collections::BTreeSet;

use volume::NqnPrefix;

use super::StageError;
use crate::attached::{self, Number as _, look_up};
use crate::mounted;
use crate::records::{Phase, StageRecord};
use crate::request::{Form, StageRequest};
use crate::seen::Seen;
use crate::settle::Remains;

/// The next steps.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Everything is done already.
    Staged,
    /// The generation is connected and the only one: look it up, mount.
    Connected,
    /// Ask the target, settle these, and connect unless a controller is there already.
    Attach { settle: Vec<Remains>, connect: bool },
}

/// Decides.
///
/// # Errors
/// Where the volume is staged as something else, or its staging path is another's.
pub(super) fn plan(seen: &Seen, request: &StageRequest, prefix: &NqnPrefix) -> Result<Plan, StageError> {
    let nqn = request.publish.nqn.as_str();
    let settle = remains_to_settle(seen, request, prefix);
    refuse_taken_path(seen, request, &settle)?;
    refuse_other_use(seen, request)?;
    let connected = !attached::controllers(&seen.subsystems, nqn).is_empty();
    Ok(match (settle.is_empty(), connected) {
        (true, true) if is_staged(seen, request) => Plan::Staged,
        (true, true) => Plan::Connected,
        (_, connected) => Plan::Attach { settle, connect: !connected },
    })
}

/// Whether another generation is connected here.
pub(super) fn is_superseding(seen: &Seen, request: &StageRequest, prefix: &NqnPrefix) -> bool {
    remains_to_settle(seen, request, prefix).iter().any(|remains| remains.connected)
}

/// Every other generation that sysfs shows or the record names, and what this one left on a device
/// that is gone.
fn remains_to_settle(seen: &Seen, request: &StageRequest, prefix: &NqnPrefix) -> Vec<Remains> {
    let nqn = request.publish.nqn.as_str();
    let record = seen.record.as_ref();
    // A generation that left nothing here needs no settling, so its record alone is replaced.
    let left = |remains: &Remains| remains.connected || !remains.numbers.is_empty();
    let remembering =
        |nqn: String| Remains::of(&seen.subsystems, &nqn).remembering(record, &seen.subsystems, &seen.mounts);
    let remains = seen.nqns(&request.slot, prefix).into_iter().map(remembering);
    let own_or_left = |remains: Remains| {
        if remains.nqn == nqn { dead_device(remains, seen) } else { Some(remains).filter(left) }
    };
    remains.filter_map(own_or_left).collect()
}

/// This generation's own device of before, where it is still mounted: its controller was removed
/// early and made again (node.md K2, K13).
fn dead_device(mut remains: Remains, seen: &Seen) -> Option<Remains> {
    let present: BTreeSet<_> = remains.devices.drain(..).map(|device| device.number()).collect();
    remains.numbers.retain(|number| !present.contains(number));
    remains.connected = false;
    remains.live = false;
    let mounted = !mounted::filesystems(&seen.mounts, &remains.numbers).is_empty();
    mounted.then_some(remains)
}

/// Two volumes never cross: what is mounted at the staging path is this volume's, or nothing is.
fn refuse_taken_path(seen: &Seen, request: &StageRequest, settle: &[Remains]) -> Result<(), StageError> {
    let mut ours: BTreeSet<_> = settle.iter().flat_map(|remains| &remains.numbers).copied().collect();
    ours.extend(Remains::of(&seen.subsystems, request.publish.nqn.as_str()).numbers);
    let there = mounted::at(&seen.mounts, &request.staging);
    match there.into_iter().find(|entry| !ours.contains(&mounted::number(entry))) {
        None => Ok(()),
        Some(entry) => Err(StageError::StagingTaken {
            path: request.staging.clone(),
            device: format!("{}:{}, {}", entry.major, entry.minor, entry.fs),
        }),
    }
}

/// A volume staged under the same generation is staged as it is until it is unstaged.
fn refuse_other_use(seen: &Seen, request: &StageRequest) -> Result<(), StageError> {
    let same = |record: &&StageRecord| record.nqn == request.publish.nqn;
    let Some(record) = seen.record.as_ref().filter(same) else { return Ok(()) };
    // A node that booted has its records, and nothing staged: the volume may be staged otherwise than before. Whether pods have
    // a raw device is not seen here.
    let connected = !attached::controllers(&seen.subsystems, record.nqn.as_str()).is_empty();
    let staged = record.phase == Phase::Staged && (connected || record.usage.form == Form::Block);
    let used = staged || !mounted::at(&seen.mounts, &record.staging).is_empty();
    let (was, asked) = (&record.usage, &request.usage);
    let same_use = was.form == asked.form && was.read_only == asked.read_only;
    if !used || (same_use && record.staging == request.staging) {
        return Ok(());
    }
    let as_what = match &record.usage.form {
        Form::Block => "a raw block device",
        Form::Filesystem { fs, .. } => fs.name(),
    };
    Err(StageError::Incompatible { as_what, path: record.staging.clone() })
}

fn is_staged(seen: &Seen, request: &StageRequest) -> bool {
    let nqn = request.publish.nqn.as_str();
    let staged = seen
        .record
        .as_ref()
        .is_some_and(|record| record.nqn == request.publish.nqn && record.phase == Phase::Staged);
    let Ok(attached) = look_up(&seen.subsystems, nqn, request.least_bytes()) else { return false };
    let mounted = mounted::at(&seen.mounts, &request.staging);
    let on_device = mounted.last().is_some_and(|entry| mounted::number(entry) == attached.device.number());
    staged && (request.usage.form == Form::Block || on_device)
}
