//! A device and a controller for the measurements that need no kernel: both processes of this machine.

use std::path::Path;

use anyhow::Result;
use scenarios::Controller;
use serde_json::json;

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
        raw(&self.0)
    }

    /// From now on each request takes so many milliseconds.
    pub(crate) fn slow_down(&self, millis: u64) -> Result<()> {
        slow_down(&self.0, millis)
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

/// A raw client of a device that somebody else started.
pub(crate) fn raw(device: &scenarios::Device) -> Result<Raw> {
    let (target, (user, password)) = (device.target(), device.login());
    let address = target.management.trim_start_matches("https://");
    let credentials = data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes());
    Raw::new(address, &target.certificate, format!("Basic {credentials}"))
}

/// From now on each request takes that device so many milliseconds.
pub(crate) fn slow_down(device: &scenarios::Device, millis: u64) -> Result<()> {
    device.control("POST", "/latency", &json!({ "millis": millis })).map(drop)
}
