//! Staging and unstaging in a guest against the same done by a shell.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use microvm::{Kernel, MIB};
use scenarios::{Attached, Made, Node, Options, Shape, System};

use crate::driver_process;
use crate::report::{Report, median, median_ratio};

/// Alternating pairs of driver and shell.
const PAIRS: usize = 15;
/// How much longer than the shell the driver may take.
const GOAL: f64 = 1.10;
/// The shell's way: what anyone would type, and what it costs at least.
const STAGE: &str = "set -e; echo \"nqn=$NQN,transport=tcp,traddr=$ADDRESS,trsvcid=$PORT,hostnqn=$HOST_NQN,hostid=$HOST_ID\" \
    > /dev/nvme-fabrics; for s in /sys/class/nvme-subsystem/*; do [ \"$(cat $s/subsysnqn)\" = \"$NQN\" ] && break; done; \
    until d=$(ls -d $s/nvme*n* 2>/dev/null | grep -v nvme.*c); do :; done; d=/dev/$(basename $d); until [ -b $d ]; do :; done; \
    mke2fs -q -t ext4 -b 4096 -E nodiscard $d; mkdir -p $TARGET; mount -t ext4 $d $TARGET";
const UNSTAGE: &str = "set -e; umount $TARGET; for s in /sys/class/nvme-subsystem/*; do \
    [ \"$(cat $s/subsysnqn)\" = \"$NQN\" ] && break; done; for c in $s/nvme*; do [ -e $c/delete_controller ] && echo 1 > $c/delete_controller; done; true";

/// Measures a node guest.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let system = System::boot(Kernel::V6_12, &["a"], &Options::default())?;
    let node = system.node("a");
    let (mut stages, mut unstages) = (Vec::new(), Vec::new());
    // One round is thrown away: programs are in the page cache after it.
    for round in 0..=PAIRS {
        let by_driver = by_driver(&system, node, &fresh(&system, &format!("driver-{round}"))?)?;
        let by_shell = by_shell(node, &fresh(&system, &format!("shell-{round}"))?)?;
        if round > 0 {
            stages.push((by_driver.0, by_shell.0));
            unstages.push((by_driver.1, by_shell.1));
        }
    }
    report.at_most("NodeStage (ext4, blank) / by a shell", median_ratio(&stages), "x", GOAL);
    report.at_most("NodeUnstage / by a shell", median_ratio(&unstages), "x", GOAL);
    report.tell(
        "NodeStage (ext4, blank), emulated guest",
        median(stages.iter().map(|pair| pair.0).collect()),
        "s",
    );
    report.at_most("node: idle resident memory", driver_process::memory(node)?.resident, "MiB", 10.0);
    Ok(())
}

fn fresh(system: &System, name: &str) -> Result<(Made, Attached)> {
    let made = system.create(name, 64 * MIB, &Shape::filesystem("ext4"))?;
    let attached = system.csi().attach(&made, "a")?;
    Ok((made, attached))
}

fn timed<T, E: Into<anyhow::Error>>(run: impl FnOnce() -> Result<T, E>) -> Result<Duration> {
    let start = Instant::now();
    run().map_err(Into::into)?;
    Ok(start.elapsed())
}

fn by_driver(
    system: &System,
    node: &Node,
    (made, attached): &(Made, Attached),
) -> Result<(Duration, Duration)> {
    let staging = Node::staging(made);
    node.guest.sh(&format!("mkdir -p {staging}"))?;
    let stage = timed(|| node.csi.stage(made, attached, &staging))?;
    let unstage = timed(|| node.csi.unstage(made, &staging))?;
    system.csi().detach(made, "a")?;
    Ok((stage, unstage))
}

fn by_shell(node: &Node, (made, attached): &(Made, Attached)) -> Result<(Duration, Duration)> {
    let value =
        |key: &str| attached.context.get(key).with_context(|| format!("no {key} in the publish context"));
    let pairs = [
        ("NQN", value("nvme_nqn")?.clone()),
        ("ADDRESS", value("nvme_address")?.clone()),
        ("PORT", value("nvme_port")?.clone()),
        ("HOST_NQN", value("host_nqn")?.clone()),
        ("HOST_ID", value("host_id")?.clone()),
        ("TARGET", format!("/mnt/{}", made.volume.volume_id)),
    ];
    let run = |line: &str| {
        let command =
            pairs.iter().fold(node.guest.command(line), |command, (name, value)| command.env(name, value));
        let output = command.run()?;
        anyhow::ensure!(
            output.success(),
            "the shell failed: {}{}",
            output.stdout_text(),
            output.stderr_text()
        );
        Ok(())
    };
    Ok((timed(|| run(STAGE))?, timed(|| run(UNSTAGE))?))
}
