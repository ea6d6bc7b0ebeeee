//! What the driver's process takes of a node guest, as its kernel counts it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use scenarios::{DRIVER_PID, Node};

use crate::idle::IDLE_AFTER;
use crate::listing::memory_in;

/// The unit of times in `/proc/<pid>/stat`, per second: USER_HZ is 100 on every architecture that has a driver (proc(5)).
const USER_HZ: f64 = 100.0;
/// Helpers end after two idle seconds; a crowd of them on a slow machine takes longer.
const ALONE: Duration = Duration::from_secs(120);
/// Prints the process of the one helper there is: it is younger than the driver.
const HOLDER_PID: &str = "pidof rds-csi | tr ' ' '\\n' | sort -n | tail -n 1";

/// Memory of a process, in MiB.
pub(crate) struct Memory {
    /// What it has for itself: `Anonymous`.
    pub(crate) own: f64,
    /// The whole, with what its program and libraries map: `Rss`.
    pub(crate) resident: f64,
}

/// What the driver has, once it is idle and nobody works for it any more.
pub(crate) fn memory(node: &Node) -> Result<Memory> {
    std::thread::sleep(IDLE_AFTER);
    wait_for_helpers(node, 0)?;
    memory_of(node, DRIVER_PID)
}

/// What the one holder of a raw device has.
pub(crate) fn memory_of_holder(node: &Node) -> Result<Memory> {
    wait_for_helpers(node, 1)?;
    memory_of(node, HOLDER_PID)
}

/// Waits until the helpers of what was called have ended, but for so many holders of raw devices, which stay.
fn wait_for_helpers(node: &Node, holders: usize) -> Result<()> {
    let line = format!("until [ $(pidof rds-csi | wc -w) = {} ]; do sleep 0.2; done", 1 + holders);
    let output = node.guest.command(&line).deadline(ALONE).run()?;
    ensure!(output.success(), "{line}: {output}");
    Ok(())
}

fn memory_of(node: &Node, process: &str) -> Result<Memory> {
    let rollup = node.guest.sh(&format!("cat /proc/$({process})/smaps_rollup"))?;
    Ok(Memory { own: memory_in(&rollup, "Anonymous")?, resident: memory_in(&rollup, "Rss")? })
}

/// The percentage of one core that the driver and its helpers take for as long as nothing is asked of them, by the guest's
/// clock.
pub(crate) fn idle_percentage(node: &Node, over: Duration) -> Result<f64> {
    let before = Times::read(node)?;
    std::thread::sleep(over);
    let after = Times::read(node)?;
    ensure!(after.process == before.process, "the driver was started anew");
    Ok((after.cpu - before.cpu) / (after.uptime - before.uptime) * 100.0)
}

/// Seconds since the guest's boot.
struct Times {
    process: String,
    uptime: f64,
    /// Of a processor: the driver's, and that of the helpers that have ended.
    cpu: f64,
}

impl Times {
    fn read(node: &Node) -> Result<Self> {
        wait_for_helpers(node, 0)?;
        let text = node.guest.sh(&format!("cat /proc/uptime /proc/$({DRIVER_PID})/stat"))?;
        Self::parse(&text).with_context(|| format!("the times of {text:?}"))
    }

    /// From a line of `/proc/uptime` and one of `/proc/<pid>/stat`.
    fn parse(text: &str) -> Result<Self> {
        let (uptime, stat) = text.split_once('\n').context("two lines")?;
        let uptime = uptime.split_whitespace().next().context("an uptime")?.parse()?;
        // The name may hold anything, so that fields are counted from its end: utime is the 12th after it.
        let (process, fields) = stat.rsplit_once(')').context("a process's name")?;
        let times = fields.split_whitespace().skip(11).take(4).map(str::parse);
        let times = times.collect::<Result<Vec<f64>, _>>()?;
        ensure!(times.len() == 4, "utime, stime, cutime and cstime");
        Ok(Self { process: process.to_owned(), uptime, cpu: times.iter().sum::<f64>() / USER_HZ })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_times_of_a_process_and_of_its_ended_children_are_read_whatever_its_name_is() {
        let text =
            "350.73 234.12\n42 (rds csi) 7) S 1 42 42 0 -1 4194560 100 200 0 0 150 50 25 75 20 0 3 0 9 8 7";
        let times = Times::parse(text).unwrap();
        assert_eq!((times.uptime, times.cpu), (350.73, 3.0));
        assert_eq!(times.process, "42 (rds csi) 7");
        for cut in ["350.73 234.12", "350.73 234.12\n42 (rds-csi) S 1 42", "\n42 (rds-csi) S"] {
            assert!(Times::parse(cut).is_err(), "{cut}");
        }
    }
}
