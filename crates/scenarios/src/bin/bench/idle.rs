//! From the start to ready, and what an idle controller keeps.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::device::Device;
use crate::listing::memory_mib;
use crate::report::{Report, median};

/// Starts to take the median of.
const STARTS: usize = 5;
/// After this long a process that has nothing to do is idle.
pub(crate) const IDLE_AFTER: Duration = Duration::from_secs(3);

/// Measures the controller; the node's part is taken in its guest.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let device = Device::start(&[])?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let start = Instant::now();
        drop(device.controller()?);
        times.push(start.elapsed());
    }
    report.at_most("controller: start to ready", median(times), "s", 0.5);
    let controller = device.controller()?;
    std::thread::sleep(IDLE_AFTER);
    report.at_most(
        "controller: idle resident memory",
        memory_mib(controller.process_id(), "VmRSS")?,
        "MiB",
        16.0,
    );
    Ok(())
}
