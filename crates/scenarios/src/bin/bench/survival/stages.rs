//! A node that comes back is asked for all its volumes at once: what fails, how long it takes, what it keeps.

use std::time::Duration;

use anyhow::Result;
use scenarios::Node;

use super::crowd::{self, NODE, Outcome, Volume};
use crate::driver_process::{self, Memory};
use crate::report::Report;

/// Volumes of a node that has many.
const VOLUMES: usize = 64;
/// At once must not be slower than one after the other, but for noise.
const GOAL: f64 = 1.10;

/// Measures a node guest.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let system = crowd::boot()?;
    let node = system.node(NODE);
    let volumes = crowd::attach(&system, VOLUMES)?;
    // One is staged before: programs are in the page cache after it.
    crowd::stage_in_a_row(node, &volumes[..1]).time()?;
    crowd::unstage_at_once(node, &volumes[..1]).time()?;
    let before = memory_of_restarted(node)?;
    let at_once = none_fails(report, crowd::stage_at_once(node, &volumes))?;
    tell_memory(report, "", &before, &driver_process::memory(node)?);
    tell_memory(report, ", restarted", &before, &memory_of_restarted(node)?);
    tell_holder(report, node, &volumes[0])?;
    crowd::unstage_at_once(node, &volumes).time()?;
    let in_a_row = crowd::stage_in_a_row(node, &volumes).time()?;
    tell_times(report, at_once, in_a_row);
    Ok(())
}

fn none_fails(report: &mut Report, staged: Outcome) -> Result<Duration> {
    let failed = staged.failures.len() as f64;
    report.at_most(&format!("{VOLUMES} NodeStage (block) at once, failed"), failed, "calls", 0.0);
    staged.time()
}

fn tell_times(report: &mut Report, at_once: Duration, in_a_row: Duration) {
    println!("staged {VOLUMES} at once in {at_once:.1?}, in a row in {in_a_row:.1?}");
    let ratio = at_once.as_secs_f64() / in_a_row.as_secs_f64();
    report.at_most(&format!("{VOLUMES} NodeStage (block) at once / in a row"), ratio, "x", GOAL);
    let each = at_once.as_secs_f64() / VOLUMES as f64;
    report.tell(&format!("{VOLUMES} NodeStage (block) at once, each, emulated guest"), each, "s");
}

/// Of a driver that finds at its start what is staged: no call of its own has left anything.
fn memory_of_restarted(node: &Node) -> Result<Memory> {
    node.kill_driver();
    node.start_driver()?;
    driver_process::memory(node)
}

fn tell_memory(report: &mut Report, of: &str, before: &Memory, after: &Memory) {
    for (what, before, after) in
        [("own", before.own, after.own), ("resident", before.resident, after.resident)]
    {
        println!("node: {what} memory {before:.2} MiB with no volume, {after:.2} MiB with {VOLUMES}{of}");
        let each = (after - before) * 1024.0 / VOLUMES as f64;
        report.tell(&format!("node: {what} memory per staged volume, of {VOLUMES}{of}"), each, "KiB");
    }
}

/// A raw device that is published has a process that keeps it open (node.md rule 10).
fn tell_holder(report: &mut Report, node: &Node, (made, attached): &Volume) -> Result<()> {
    let (staging, target) = (Node::staging(made), Node::target(made));
    node.guest.sh(&format!("mkdir -p $(dirname {target})"))?;
    node.csi.publish(made, attached, &staging, &target)?;
    let memory = driver_process::memory_of_holder(node)?;
    println!("the holder of a raw device: {:.2} MiB resident", memory.resident);
    report.tell("node: own memory per published raw volume, its holder", memory.own * 1024.0, "KiB");
    Ok(node.csi.unpublish(made, &target)?)
}
