//! The counters of all disks: neither configuration nor state, so that a boot begins them anew.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Machine;
use crate::device::disk::traffic::Traffic;
use crate::menu::Trap;

/// By the disk's id.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<BTreeMap<u32, Traffic>>);

impl Counters {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Traffic>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, disk: u32) -> Traffic {
        self.lock().get(&disk).copied().unwrap_or_default()
    }

    pub(super) fn reset(&self, disk: u32) {
        self.lock().remove(&disk);
    }

    pub(super) fn reset_all(&self) {
        self.lock().clear();
    }
}

impl Machine {
    /// The disk in this slot reads and writes so much more.
    ///
    /// # Errors
    /// No such disk.
    pub(crate) fn add_traffic(&self, slot: &str, more: &Traffic) -> Result<(), Trap> {
        let disk = self.device().disk(slot).ok_or(Trap::NoSuchItem)?.id;
        self.traffic.lock().entry(disk).or_default().add(more);
        Ok(())
    }
}
