//! A guest's place at the data network.

use serde_json::json;

use super::machine::Machine;
use crate::Result;

/// A guest's place at the data network. Commands to the guest do not go this way and are never cut.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    machine: &'a Machine,
}

impl<'a> Link<'a> {
    pub(super) fn new(machine: &'a Machine) -> Self {
        Self { machine }
    }

    /// Drops all frames in both directions; the guest's carrier stays, as when a switch further away fails.
    /// It outlasts a reboot of the guest.
    pub fn cut(&self) {
        self.machine.port().set_cut(true);
    }

    /// Ends [`Self::cut`].
    pub fn restore(&self) {
        self.machine.port().set_cut(false);
    }

    /// Pulls the cable: the guest's carrier goes.
    ///
    /// # Errors
    /// [`Error::NotRunning`](crate::Error::NotRunning), [`Error::Monitor`](crate::Error::Monitor).
    pub fn unplug(&self) -> Result<()> {
        self.set_carrier(false)
    }

    /// Puts the cable back.
    ///
    /// # Errors
    /// As [`Self::unplug`].
    pub fn plug(&self) -> Result<()> {
        self.set_carrier(true)
    }

    fn set_carrier(&self, up: bool) -> Result<()> {
        self.machine.monitor("set_link", &json!({"name": "data", "up": up})).map(drop)
    }
}
