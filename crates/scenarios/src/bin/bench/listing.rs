//! Listing ten thousand volumes.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use scenarios::CLUSTER_ID;
use volume::{ClusterId, Record, Slot};

use crate::calls::new_disk;
use crate::device::Device;
use crate::report::Report;

/// More volumes than any box of this kind is known to hold.
const VOLUMES: usize = 10_000;

/// Lists them all at once: the time, and the most memory that the controller ever had.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let device = Device::start(&[])?;
    let mut raw = device.raw()?;
    let cluster = ClusterId::parse(CLUSTER_ID)?;
    let comment = Record::new(cluster.hash()).to_comment()?;
    println!("making {VOLUMES} volumes in {}", device.folder().display());
    for number in 0..VOLUMES {
        let slot = Slot::for_volume(&cluster, &format!("listed-{number}"));
        raw.send("PUT", "/rest/disk", Some(&new_disk(&slot, &comment)))?;
    }
    let controller = device.controller()?;
    let start = Instant::now();
    let listed = controller.csi.list(0)?.len();
    let seconds = start.elapsed().as_secs_f64();
    ensure!(listed == VOLUMES, "{listed} volumes listed of {VOLUMES}");
    report.at_most(&format!("ListVolumes of {VOLUMES}"), seconds, "s", 1.0);
    let peak = memory_mib(controller.process_id(), "VmHWM")?;
    report.at_most(&format!("controller's peak resident memory, {VOLUMES} listed"), peak, "MiB", 48.0);
    Ok(())
}

/// One of a process's memory figures, in MiB.
pub(crate) fn memory_mib(process: u32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    memory_in(&status, field)
}

/// The same, from the text of `/proc/<pid>/status`.
pub(crate) fn memory_in(status: &str, field: &str) -> Result<f64> {
    let line = status.lines().find(|line| line.starts_with(field)).with_context(|| format!("no {field}"))?;
    let kib: f64 = line.split_whitespace().nth(1).with_context(|| line.to_owned())?.parse()?;
    Ok(kib / 1024.0)
}
