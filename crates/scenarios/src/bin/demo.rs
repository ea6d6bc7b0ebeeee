//! One volume's whole life on real kernels, a line a step.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use microvm::{Kernel, MIB};
use scenarios::{Made, Node, Options, Shape, Steps, System};

/// What is written on node A and read on node B.
const PAYLOAD_MIB: u64 = 24;
/// The volume's size, and what it grows to, in bytes.
const SIZE: u64 = 256 * MIB;
const GROWN: u64 = 512 * MIB;

fn main() -> Result<ExitCode> {
    Steps::demo(run)
}

/// Every step; a failed one ends the life, since the next would prove nothing.
fn run(kernel: Kernel, steps: &mut Steps) -> Option<()> {
    let boot = format!(
        "boot an RDS and nodes a and b on Linux {word}; start rds-sim and rds-csi",
        word = kernel.version()
    );
    let system = steps.step(&boot, || System::boot(kernel, &["a", "b"], &Options::default()))?;
    let made = steps.step("CreateVolume: 256 MiB, over REST with TLS", || {
        system.create("demo", SIZE, &Shape::filesystem("ext4"))
    })?;
    let nqn = steps
        .step("ControllerPublish to a: exported under a fresh generation", || publish(&system, &made))?;
    write_on_a(&system, &made, steps)?;
    let checksum = grow_on_a(&system, &made, steps)?;
    move_to_b(&system, &made, &nqn, &checksum, steps)?;
    steps.step("DeleteVolume", || system.csi().delete(&made.volume.volume_id))?;
    steps.step("nothing is left: no image, no export, no NVMe subsystem, no mount", || nothing_left(&system))
}

fn publish(system: &System, made: &Made) -> Result<String> {
    let attached = system.csi().attach(made, "a")?;
    let nqn = attached.context.get("nvme_nqn").cloned().unwrap_or_default();
    let exports = system.rds.exports()?;
    ensure!(exports == [nqn.clone()], "the target exports {exports:?}, the context says {nqn}");
    Ok(nqn)
}

fn write_on_a(system: &System, made: &Made, steps: &mut Steps) -> Option<()> {
    let (a, target) = (system.node("a"), Node::target(made));
    steps.step("NodeStage and NodePublish on a: connected, formatted, mounted", || {
        let attached = system.csi().attach(made, "a")?;
        a.mount(made, &attached)
    })?;
    let write = format!("dd if=/dev/urandom of={target}/payload bs=1M count={PAYLOAD_MIB} conv=fsync 2>&1");
    steps.step(&format!("write {PAYLOAD_MIB} MiB on a"), || a.guest.sh(&write)).map(drop)
}

fn grow_on_a(system: &System, made: &Made, steps: &mut Steps) -> Option<String> {
    let (a, target) = (system.node("a"), Node::target(made));
    steps.step("grow to 512 MiB while mounted", || {
        let bytes = system.csi().grow(made, i64::try_from(GROWN)?)?;
        a.csi.grow_on_node(made, &Node::staging(made), &target, bytes)?;
        let kilobytes: u64 =
            a.guest.sh(&format!("df -k {target} | tail -n 1 | awk '{{print $2}}'"))?.trim().parse()?;
        ensure!(kilobytes * 1024 > SIZE, "the file system has {kilobytes} KiB");
        anyhow::Ok(())
    })?;
    steps.step("checksum on a", || sum(a, &target))
}

fn move_to_b(system: &System, made: &Made, old: &str, checksum: &str, steps: &mut Steps) -> Option<()> {
    steps.step("NodeUnpublish, NodeUnstage on a: synced, unmounted, disconnected", || {
        system.node("a").unmount(made)?;
        let left = system.node("a").subsystems()?;
        ensure!(!left.iter().any(|nqn| nqn == old), "node a still has {left:?}");
        anyhow::Ok(())
    })?;
    steps.step("ControllerUnpublish from a: export closed", || {
        system.csi().detach(made, "a")?;
        let exports = system.rds.exports()?;
        ensure!(exports.is_empty(), "still exported: {exports:?}");
        anyhow::Ok(())
    })?;
    steps.step("ControllerPublish to b (after settling), stage, publish", || {
        let (attached, _) = system.start_pod(made, "b")?;
        ensure!(
            attached.context.get("nvme_nqn").is_some_and(|nqn| nqn != old),
            "the generation was used twice"
        );
        anyhow::Ok(())
    })?;
    steps.step("the same checksum on b", || {
        let there = sum(system.node("b"), &Node::target(made))?;
        ensure!(there == *checksum, "{checksum} became {there}");
        anyhow::Ok(())
    })?;
    steps.step("unpublish, unstage and detach on b", || system.end_pod(made, "b"))
}

fn sum(node: &Node, target: &str) -> Result<String> {
    Ok(node.guest.sh(&format!("sha256sum < {target}/payload"))?)
}

fn nothing_left(system: &System) -> Result<()> {
    let (images, exports) = (system.rds.images()?, system.rds.exports()?);
    ensure!(images.is_empty() && exports.is_empty(), "on the RDS: {images:?} {exports:?}");
    for node in &system.nodes {
        let (subsystems, mounts) =
            (node.subsystems()?, node.guest.sh("grep nvme /proc/self/mountinfo; true")?);
        ensure!(
            subsystems.is_empty() && mounts.is_empty(),
            "on {}: {subsystems:?} {mounts}",
            node.guest.name()
        );
    }
    let listed = system.csi().list(0)?.len();
    ensure!(listed == 0, "the controller lists {listed} volumes");
    Ok(())
}
