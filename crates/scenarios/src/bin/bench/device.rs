//! A device and a controller for the measurements that need no kernel: both processes of this machine.

use std::path::Path;

use anyhow::Result;
use scenarios::Controller;

use crate::raw::Raw;

/// `rds-sim` without a data plane, and who talks to it.
pub(crate) struct Device(scenarios::Device);

impl Device {
    /// Starts one with these further flags.
    pub(crate) fn start(flags: &[&str]) -> Result<Self> {
        let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        scenarios::Device::start(&flags).map(Self)
    }

    /// A raw client.
    pub(crate) fn raw(&self) -> Result<Raw> {
        let (target, (user, password)) = (self.0.target(), self.0.login());
        let address = target.management.trim_start_matches("https://");
        Raw::new(address, &target.certificate, user, password)
    }

    /// How many requests the device has had.
    pub(crate) fn requests(&self) -> Result<u64> {
        self.0.requests()
    }

    /// A driver.
    pub(crate) fn controller(&self) -> Result<Controller> {
        Controller::start(self.0.target(), &[])
    }

    /// Where the device keeps its state.
    pub(crate) fn folder(&self) -> &Path {
        self.0.folder()
    }
}
