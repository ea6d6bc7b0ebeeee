//! Helpers of the fake: operations that are taken as far as they go, again and again.

use std::sync::{Arc, OnceLock};

use volume::Slot;

use crate::op::{Op, Output};
use crate::{Error, ErrorKind, Result};

use super::world::Kernel;

pub(super) type Outcome = Arc<OnceLock<Result<Output>>>;

/// EIO, as Linux numbers it.
pub(super) const EIO: i32 = 5;

#[derive(Debug)]
pub(super) struct Helper {
    pub(super) op: Op,
    /// How far it is: what was done is not done again.
    pub(super) phase: u32,
    pub(super) outcome: Outcome,
}

/// Why a step did not end its operation well.
pub(super) enum Stop {
    /// In D: tried again after the next change.
    Wait,
    /// The driver crashed and took the helper with it.
    Crashed,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A refusal by errno.
pub(super) fn errno(what: &str, number: i32) -> Error {
    let error = std::io::Error::from_raw_os_error(number);
    Error::io(what, std::path::Path::new("(fake)"), &error)
}

impl Kernel<'_> {
    /// Begins an operation or joins the same one; the error is another one that still runs.
    pub(super) fn begin(&mut self, slot: &Slot, op: &Op) -> std::result::Result<Outcome, (String, Outcome)> {
        let key = (slot.clone(), op.lane());
        if let Some(helper) = self.node.helpers.get(&key).filter(|helper| helper.op == *op)
            && (helper.outcome.get().is_none() || op.is_kept())
        {
            return Ok(helper.outcome.clone());
        }
        let in_the_way = |helper: &&Helper| helper.outcome.get().is_none() && !op.goes_beside(&helper.op);
        if let Some(other) = self.of(slot).find(in_the_way) {
            return Err((other.op.name().to_owned(), other.outcome.clone()));
        }
        // What ended and was not asked for is older than what begins now: nobody may take it for news.
        self.node.helpers.retain(|(other, _), helper| other != slot || helper.outcome.get().is_none());
        let helper = Helper { op: op.clone(), phase: 0, outcome: Outcome::default() };
        let outcome = helper.outcome.clone();
        self.node.helpers.insert(key, helper);
        Ok(outcome)
    }

    fn of(&self, slot: &Slot) -> impl Iterator<Item = &Helper> {
        let helpers = self.node.helpers.iter();
        helpers.filter(move |((other, _), _)| other == slot).map(|(_, helper)| helper)
    }

    /// What runs, or ran and was not asked for since.
    pub(super) fn running(&mut self, slot: &Slot) -> Option<(String, Outcome)> {
        self.of(slot).next().map(|helper| (helper.op.name().to_owned(), helper.outcome.clone()))
    }

    /// Drops a result that was handed over.
    pub(super) fn forget(&mut self, slot: &Slot, outcome: &Outcome) {
        self.node
            .helpers
            .retain(|(other, _), helper| other != slot || !Arc::ptr_eq(&helper.outcome, outcome));
    }

    /// Takes every helper a step further; whether one moved.
    pub(super) fn step_helpers(&mut self) -> bool {
        let mut moved = false;
        let keys: Vec<_> = self.node.helpers.keys().cloned().collect();
        for key in keys {
            let Some(mut helper) = self.node.helpers.remove(&key) else { continue };
            let phase = helper.phase;
            let running = helper.outcome.get().is_none();
            let ended = match running.then(|| self.step(&mut helper)) {
                None | Some(Err(Stop::Wait)) => None,
                Some(Err(Stop::Crashed)) => continue,
                Some(Err(Stop::Failed(error))) => Some(Err(error)),
                Some(Ok(output)) => Some(Ok(output)),
            };
            moved |= ended.is_some() || helper.phase != phase;
            if let Some(result) = ended {
                self.node.untold.ended(&key.0, &result);
                // A helper that has ended is not stepped again, so this is its only result.
                let _ = helper.outcome.set(result);
            }
            self.node.helpers.insert(key, helper);
        }
        moved
    }

    fn step(&mut self, helper: &mut Helper) -> std::result::Result<Output, Stop> {
        let name = helper.op.name();
        if helper.phase == 0 {
            if self.node.hung.contains(name) {
                return Err(Stop::Wait);
            }
            self.failure(name)?;
        }
        let Helper { op, phase, .. } = helper;
        match op {
            Op::Connect { options } => self.connect(options),
            Op::Rescan { controller } => self.rescan(controller),
            Op::Disconnect { nqn } => self.disconnect(nqn),
            Op::Read { device, range } => self.read(device, *range),
            Op::Scan { device, ranges } => self.scan(device, ranges),
            Op::Write { device, offset, bytes } => self.write(device, *offset, bytes),
            Op::IsFree { device } => Ok(self.is_free(device)),
            Op::Flush { device } => self.flush(device),
            Op::Hold { device, target } => self.hold(device, target),
            Op::Release { target } => self.release(target),
            Op::Mkfs { device, fs, uuid, bytes } => self.mkfs(device, *fs, uuid, *bytes),
            Op::Grow { device, mountpoint, fs } => self.grow(device, mountpoint, *fs),
            Op::Sync { mountpoint } => self.sync(mountpoint),
            Op::Check { device, mountpoint } => self.check(device, mountpoint),
            Op::Usage { mountpoint } => self.usage(mountpoint),
            Op::Mount { device, target, fs, options } => self.mount(device, target, *fs, options),
            Op::Bind { source, target, readonly } => self.bind(source, target, *readonly),
            Op::Unmount { target } => self.unmount(target, phase),
            Op::Load { .. } => Ok(Output::Done),
        }
    }

    /// Counts a side effect; the driver may crash right after it.
    pub(super) fn effect(&mut self, what: impl Into<String>) -> std::result::Result<(), Stop> {
        // A helper in D outlives its driver; what it does then crashes nobody.
        let survivor = self.node.effects.is_crashed();
        if !survivor && self.node.effects.note(&what.into()) { Err(Stop::Crashed) } else { Ok(()) }
    }

    /// The failure that a test asked for.
    pub(super) fn failure(&mut self, name: &str) -> Result<()> {
        match self.node.failures.iter().position(|(action, _)| action == name) {
            None => Ok(()),
            Some(at) => {
                let (_, number) = self.node.failures.remove(at);
                Err(errno(name, number))
            }
        }
    }
}

/// What is not there.
pub(super) fn missing(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Missing, format!("{what} is not there"))
}
