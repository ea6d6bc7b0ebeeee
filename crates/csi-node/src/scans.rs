//! Whole reads that outlast a call: what was asked, so that a retry can ask for the same.
//!
//! Kept in memory only: a reader does not outlive this process, and the next one begins anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use host::Device;
use volume::Slot;

use crate::format::Intent;

/// A whole read that goes on. Its device carries the NQN that it was found under; what is read under one
/// connection says nothing of the next, so every connect forgets it.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    pub(crate) device: Device,
    pub(crate) intent: Intent,
}

/// The whole reads that go on, by volume.
#[derive(Debug, Default)]
pub(crate) struct Scans(Mutex<HashMap<Slot, Scan>>);

impl Scans {
    /// The read that goes on for a volume.
    pub(crate) fn get(&self, slot: &Slot) -> Option<Scan> {
        self.lock().get(slot).cloned()
    }

    /// A read goes on.
    pub(crate) fn remember(&self, slot: &Slot, device: &Device, intent: &Intent) {
        self.lock().insert(slot.clone(), Scan { device: device.clone(), intent: intent.clone() });
    }

    /// It ended, or the volume is leaving.
    pub(crate) fn forget(&self, slot: &Slot) {
        self.lock().remove(slot);
    }

    /// The map is whole after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<Slot, Scan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
