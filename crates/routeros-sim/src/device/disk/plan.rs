//! Plans for commands on `/disk`.

mod add;
mod export;

use super::Disk;
use super::argument::Argument;
use crate::assumptions::{
    DuplicateNqn, DuplicateSlot, MonitorSeveral, NqnChange, RemoveConnected, SetMany, Shrink, Unexport,
};
use crate::device::plan::{Change, Effect, Plan, Step};
use crate::device::{RosePackage, Scene};
use crate::menu::{Command, Reply, Trap, Verb};
use crate::plane::Sessions;

/// Plans a command on `/disk`.
pub(crate) fn plan(scene: &Scene<'_>, command: &Command) -> Result<Plan, Trap> {
    match &command.verb {
        Verb::Add => add::plan(scene, &command.arguments),
        Verb::Set => set(scene, &command.targets, &command.arguments),
        Verb::Remove => remove(scene, &command.targets),
        Verb::Other(name) => other(scene, name, command),
        Verb::Print => Err(Trap::NoSuchCommand),
    }
}

fn other(scene: &Scene<'_>, name: &str, command: &Command) -> Result<Plan, Trap> {
    let disabled = |value: &str| vec![("disabled".to_owned(), value.to_owned())];
    match name {
        "disable" => set(scene, &command.targets, &disabled("yes")),
        "enable" => set(scene, &command.targets, &disabled("no")),
        "unset" => unset(scene, command),
        "reset-counters" => reset_counters(scene, &command.targets),
        "monitor-traffic" => monitor_traffic(scene, command),
        _ => Err(Trap::NoSuchCommand),
    }
}

/// `unset value-name=comment` empties a property.
fn unset(scene: &Scene<'_>, command: &Command) -> Result<Plan, Trap> {
    match command.arguments.as_slice() {
        [(name, property)] if name == "value-name" => {
            set(scene, &command.targets, &[(property.clone(), String::new())])
        }
        _ => Err(Trap::refused("missing value(s) of argument(s) value-name")),
    }
}

/// One sample of each disk that is named, or of the first (assumption `monitor-several`).
fn monitor_traffic(scene: &Scene<'_>, command: &Command) -> Result<Plan, Trap> {
    let sampled = match scene.assumptions.monitor_several {
        MonitorSeveral::Each => command.targets.len(),
        MonitorSeveral::First => 1,
    };
    let rows = command.targets.iter().map(|target| {
        let disk = scene.device.disk(target).ok_or(Trap::NoSuchItem)?;
        Ok(scene.facts.traffic(disk.id).row(&disk.slot))
    });
    let mut rows = rows.collect::<Result<Vec<_>, Trap>>()?;
    rows.truncate(sampled);
    Ok(Plan::answer(Reply::Rows(rows)))
}

fn reset_counters(scene: &Scene<'_>, targets: &[String]) -> Result<Plan, Trap> {
    let steps = targets.iter().map(|target| {
        let disk = scene.device.disk(target).ok_or(Trap::NoSuchItem)?.id;
        Ok(Step::Do(Effect::ResetCounters { disk }))
    });
    Ok(Plan::done(steps.collect::<Result<_, Trap>>()?, Reply::Done))
}

fn set(scene: &Scene<'_>, targets: &[String], arguments: &[(String, String)]) -> Result<Plan, Trap> {
    let mut steps = Vec::new();
    for target in targets {
        let before = scene.device.disk(target).ok_or(Trap::NoSuchItem)?;
        let (after, trap) = edit(scene, before, arguments);
        match trap {
            Some(trap) if scene.assumptions.set_many == SetMany::AllOrNothing => return Err(trap),
            trap => {
                steps.extend(changed(scene, before, after)?);
                if let Some(trap) = trap {
                    return Ok(Plan { steps, outcome: Err(trap) });
                }
            }
        }
    }
    Ok(Plan::done(steps, Reply::Done))
}

/// `disk` with as many of the arguments, in their order, as were not refused.
fn edit(scene: &Scene<'_>, disk: &Disk, arguments: &[(String, String)]) -> (Disk, Option<Trap>) {
    let mut edited = disk.clone();
    for (name, value) in arguments {
        let mut next = edited.clone();
        match assign(scene, &mut next, name, value).and_then(|()| check(scene, disk, &next)) {
            Ok(()) => edited = next,
            Err(trap) => return (edited, Some(trap)),
        }
    }
    (edited, None)
}

fn assign(scene: &Scene<'_>, disk: &mut Disk, name: &str, value: &str) -> Result<(), Trap> {
    let rose = scene.device.rose == RosePackage::Enabled;
    Argument::find(name, scene.device.version, rose)?.apply(disk, value, scene.assumptions)
}

/// Whether the device lets a row become `after`.
fn check(scene: &Scene<'_>, before: &Disk, after: &Disk) -> Result<(), Trap> {
    if after.slot != before.slot {
        unique_slot(scene, after)?;
    }
    if after.nvme.nqn != before.nvme.nqn {
        unique_nqn(scene, after)?;
        let renamed = before.live.as_ref().is_some_and(|live| after.nqn(scene.assumptions) != live.nqn);
        if renamed && after.wants_export() && scene.assumptions.nqn_change == NqnChange::Refused {
            return Err(Trap::refused("failure: disk is exported"));
        }
    }
    if after.file_size < before.file_size && scene.assumptions.shrink == Shrink::Refused {
        return Err(Trap::invalid_value("file-size"));
    }
    Ok(())
}

fn unique_slot(scene: &Scene<'_>, disk: &Disk) -> Result<(), Trap> {
    let taken = || scene.device.disks.values().any(|each| each.id != disk.id && each.slot == disk.slot);
    match scene.assumptions.duplicate_slot {
        DuplicateSlot::Refused if taken() => Err(Trap::duplicate()),
        _ => Ok(()),
    }
}

fn unique_nqn(scene: &Scene<'_>, disk: &Disk) -> Result<(), Trap> {
    let Some(nqn) = &disk.nvme.nqn else { return Ok(()) };
    let taken =
        || scene.device.disks.values().any(|each| each.id != disk.id && each.nvme.nqn.as_ref() == Some(nqn));
    match scene.assumptions.duplicate_nqn {
        DuplicateNqn::Refused if taken() => Err(Trap::duplicate()),
        _ => Ok(()),
    }
}

/// What turns `before` into `after`: image first, then the export, then the row.
fn changed(scene: &Scene<'_>, before: &Disk, mut after: Disk) -> Result<Vec<Step>, Trap> {
    let mut steps = Vec::new();
    if after.file_size != before.file_size && after.kind == "file" {
        steps.extend(resized(scene, before, &after)?);
    }
    steps.extend(export::transition(scene.assumptions, before, &mut after));
    steps.push(Step::Record(Change::PutDisk(Box::new(after))));
    Ok(steps)
}

fn resized(scene: &Scene<'_>, before: &Disk, after: &Disk) -> Result<Vec<Step>, Trap> {
    let preallocate = add::preallocates(scene);
    let more = after.file_size.saturating_sub(before.file_size);
    if more > 0 {
        scene.room(&after.file_path, if preallocate { more } else { 0 })?;
    }
    let (path, size) = (after.file_path.clone(), after.file_size);
    let mut steps = vec![Step::Do(Effect::ResizeImage { path, size, preallocate })];
    if let Some(file) = scene.device.file_at(&after.file_path) {
        let mut file = file.clone();
        (file.size, file.modified) = (size, scene.facts.now());
        steps.push(Step::Record(Change::PutFile(file)));
    }
    Ok(steps)
}

/// Drops rows; their files stay (S [CLI]).
fn remove(scene: &Scene<'_>, targets: &[String]) -> Result<Plan, Trap> {
    let mut steps = Vec::new();
    for target in targets {
        let disk = scene.device.disk(target).ok_or(Trap::NoSuchItem)?;
        if disk.pool.is_some() || (is_connected(scene, disk) && refuses_connected(scene)) {
            return Err(Trap::refused("failure: disk is in use"));
        }
        if let Some(export) = disk.live.clone() {
            // A row that is gone can keep no session.
            let how = match scene.assumptions.unexport {
                Unexport::LeavesSessions => Unexport::ReturnsEarly,
                how => how,
            };
            steps.push(Step::Do(Effect::Unexport { export, how }));
        }
        steps.push(Step::Record(Change::RemoveDisk(disk.id)));
    }
    Ok(Plan::done(steps, Reply::Done))
}

fn refuses_connected(scene: &Scene<'_>) -> bool {
    scene.assumptions.remove_connected == RemoveConnected::Refused
}

/// Where the plane cannot tell, an exported disk counts as connected.
fn is_connected(scene: &Scene<'_>, disk: &Disk) -> bool {
    disk.live.as_ref().is_some_and(|live| match scene.facts.sessions(&live.nqn) {
        Sessions::Known(hosts) => !hosts.is_empty(),
        Sessions::Unknown => true,
    })
}

pub(crate) use export::boot;
