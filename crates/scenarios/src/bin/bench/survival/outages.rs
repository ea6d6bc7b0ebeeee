//! From the device's return to the first write that completes, against the pause that the kernel makes between two tries.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use microvm::{Kernel, MIB};
use scenarios::{Node, Options, Rds, Shape, System};
use testbed::wait_until;

use super::crowd::NODE;
use super::writer::Writer;
use crate::report::Report;

/// Outages in seconds: some that the kernel's keep-alives (5 s) do not notice, and longer ones. Each of those of half a
/// minute ends at another place of the kernel's round, 3 s of a try and 5 s of a pause.
const OUTAGES: [(&str, &[u64]); 3] =
    [("1 s away", &[1, 1, 1]), ("30 to 36 s away", &[30, 33, 36]), ("120 s away", &[120])];
/// Longer than it takes the kernel to notice that its device is away.
const LONG: u64 = 20;
/// A try may be under way when the device returns. It fails first, after the 3 s of a connect without an answer; then comes
/// one whole pause, and the connect.
const GOAL: f64 = 2.0;
/// A reconnect takes up to 10 s, a busy machine gets many times that.
const RETURN: Duration = Duration::from_secs(120);

/// Measures a node guest.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let system = System::boot(Kernel::V6_12, &[NODE], &Options::default())?;
    let (rds, node) = (&system.rds, system.node(NODE));
    let made = system.create("held", 64 * MIB, &Shape::filesystem("ext4"))?;
    let (_, directory) = system.start_pod(&made, NODE)?;
    let pause: f64 = node.guest.sh("cat /sys/class/nvme/nvme*/reconnect_delay")?.parse()?;
    let writer = Writer::start(node, &directory)?;
    let mut tell = |what: &str, times: &[Duration]| {
        println!("first write after {what}: {times:.2?} after the return");
        let longest = times.iter().max().context("a time")?.as_secs_f64();
        let name = format!("first write after {what} / kernel's pause, worst of {}", times.len());
        report.at_most(&name, longest / pause, "x", GOAL);
        anyhow::Ok(())
    };
    for (what, outages) in OUTAGES {
        let times = outages.iter().map(|seconds| out_of_reach(rds, node, &writer, *seconds));
        tell(what, &times.collect::<Result<Vec<_>>>()?)?;
    }
    tell("a reboot", &[rebooted(rds, node, &writer)?])
}

/// Cuts the device off for so long; answers the time from its return to the first write that completes.
fn out_of_reach(rds: &Rds, node: &Node, writer: &Writer, seconds: u64) -> Result<Duration> {
    rds.guest.link().cut();
    let half = Duration::from_secs(seconds) / 2;
    std::thread::sleep(half);
    let held_since = writer.completed();
    std::thread::sleep(half);
    if seconds >= LONG {
        ensure!(state(node)? != "live", "the kernel has not noticed an outage of {seconds} s");
    }
    first_write_after_return(rds, writer, held_since)
}

/// Cuts the device's power and boots it. It is out of reach until it exports again: a kernel that it refuses before drops its
/// connections (node.md K2), and would have nothing to reconnect.
fn rebooted(rds: &Rds, node: &Node, writer: &Writer) -> Result<Duration> {
    let exports = rds.exports()?;
    rds.guest.link().cut();
    rds.cut_power()?;
    let held_since = writer.completed();
    rds.boot_again()?;
    let condition = |met: Result<bool>| {
        met.map(|met| met.then_some(())).map_err(|error| testbed::Error::Tools(error.to_string()))
    };
    wait_until("the device exports again", RETURN, || condition(rds.exports().map(|now| now == exports)))?;
    let is_noticed = || state(node).map(|state| state != "live");
    wait_until("the kernel has noticed the reboot", RETURN, || condition(is_noticed()))?;
    first_write_after_return(rds, writer, held_since)
}

/// Restores the link, where since then no write has completed.
fn first_write_after_return(rds: &Rds, writer: &Writer, held_since: u64) -> Result<Duration> {
    ensure!(writer.completed() == held_since, "writes have completed while the device was away");
    rds.guest.link().restore();
    writer.wait_beyond(held_since, RETURN)
}

/// Of the one controller that there is.
fn state(node: &Node) -> Result<String> {
    Ok(node.guest.sh("cat /sys/class/nvme/nvme*/state")?)
}
