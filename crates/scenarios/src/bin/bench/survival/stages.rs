//! A node that comes back is asked for all its volumes at once: what fails, how long it takes, what it keeps.

use anyhow::Result;
use scenarios::Node;

use super::crowd::{self, NODE, Volume};
use crate::driver_process::{self, Memory};
use crate::report::{Report, median, median_ratio};

/// Volumes at once: more than the pods that a drained node hands over.
const VOLUMES: usize = 64;
/// Alternating pairs of at once and in a row.
const PAIRS: usize = 3;
/// At once must not be slower than one after the other, but for noise.
const GOAL: f64 = 1.10;

/// Measures a node guest.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let system = crowd::boot()?;
    let node = system.node(NODE);
    let volumes = crowd::attach(&system, VOLUMES)?;
    // One is staged before: programs are in the page cache after it, and what the first call keeps is not a volume's.
    crowd::stage_in_a_row(node, &volumes[..1]).time()?;
    crowd::unstage_at_once(node, &volumes[..1]).time()?;
    let before = driver_process::memory(node)?;
    let mut pairs = Vec::new();
    for round in 0..PAIRS {
        let all = crowd::stage_at_once(node, &volumes);
        if round == 0 {
            let name = format!("{VOLUMES} NodeStage (block) at once, failed");
            report.at_most(&name, all.failures.len() as f64, "calls", 0.0);
        }
        let at_once = all.time()?;
        if round == 0 {
            tell_memory(report, "", &before, &driver_process::memory(node)?);
            node.kill_driver();
            node.start_driver()?;
            tell_memory(report, ", restarted", &before, &driver_process::memory(node)?);
            tell_holder(report, node, &volumes[0])?;
        }
        pairs.push((at_once, one_after_the_other(node, &volumes)?));
    }
    println!("at once and in a row: {pairs:.1?}");
    let ratio = median_ratio(&pairs);
    report.at_most(&format!("{VOLUMES} NodeStage (block) at once / in a row"), ratio, "x", GOAL);
    let each = median(pairs.iter().map(|pair| pair.0).collect()) / VOLUMES as f64;
    report.tell(&format!("{VOLUMES} NodeStage (block) at once, each, emulated guest"), each, "s");
    Ok(())
}

/// Unstages all that are staged, and answers how long it takes to stage them in a row; none is staged after it.
fn one_after_the_other(node: &Node, volumes: &[Volume]) -> Result<std::time::Duration> {
    crowd::unstage_at_once(node, volumes).time()?;
    let in_a_row = crowd::stage_in_a_row(node, volumes).time()?;
    crowd::unstage_at_once(node, volumes).time()?;
    Ok(in_a_row)
}

/// What they keep, and what their calls left; without the latter of a driver that found them at its start.
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
