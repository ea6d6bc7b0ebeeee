//! A claim's file system moves from one node to the other with its pod.

use anyhow::{Result, ensure};
use scenarios::{Steps, WholeCluster, shell_pod};
use testbed::objects::{self, Usage};

use crate::said;

/// Writes bytes and their checksum, and syncs both.
const WRITE: &str =
    "dd if=/dev/urandom of=/data/payload bs=1M count=8 && sha256sum /data/payload >/data/sum && sync";

/// With ext4, by the class of the chart.
pub(crate) fn ext4(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    told(cluster, steps, "ext4", "rds-ext4")
}

/// With xfs, likewise.
pub(crate) fn xfs(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    told(cluster, steps, "xfs", "rds-xfs")
}

fn told(cluster: &WholeCluster, steps: &mut Steps, kind: &str, class: &str) -> Option<()> {
    let claim = format!("moved-{kind}");
    let (there, here) = (format!("{claim}-a"), format!("{claim}-b"));
    steps.step(&format!("PVC of 384 MiB for {kind} is bound"), || {
        cluster.bind(&objects::claim(&claim, class, "384Mi", Usage::FILESYSTEM))
    })?;
    steps.step("its pod runs on a", || run(cluster, &there, "a", &claim, kind))?;
    let written = steps.step("it writes 8 MiB with their checksum", || {
        cluster.exec(&there, &WRITE.replace("/data", &format!("/{claim}")))?;
        sum(cluster, &there, &claim)
    })?;
    steps.step("the pod is deleted: nothing is attached any more", || end(cluster, &there))?;
    steps.step("another runs on b: the same checksum", || {
        run(cluster, &here, "b", &claim, kind)?;
        let read = sum(cluster, &here, &claim)?;
        ensure!(read == written, "{written} became {read}");
        Ok(())
    })?;
    steps.step("it is deleted, too", || end(cluster, &here))?;
    steps.step("events: attached to a, detached, attached to b, detached", || {
        said::attached_and_detached(cluster, &claim, &["a", "b"])
    })?;
    steps.step("PVC deleted: nothing of it is on the RDS", || cluster.delete_claim(&claim))
}

/// The pod runs, with that file system, from the one export that there is, on the one node that has it.
fn run(cluster: &WholeCluster, pod: &str, node: &str, claim: &str, kind: &str) -> Result<()> {
    cluster.run_pod(&shell_pod(pod, node, &[claim], "true"))?;
    let mounts = cluster.exec(pod, &format!("grep ' /{claim} ' /proc/mounts"))?;
    ensure!(mounts.contains(&format!(" /{claim} {kind} ")), "in the pod: {mounts}");
    let exports = cluster.rds.exports()?;
    let [export] = exports.as_slice() else { anyhow::bail!("the RDS exports {exports:?}") };
    for other in &cluster.nodes {
        let (has, name) = (other.volumes()?.contains(export), other.guest.name());
        ensure!(has == (name == node), "node {name} has {export}: {has}");
    }
    Ok(())
}

fn sum(cluster: &WholeCluster, pod: &str, claim: &str) -> Result<String> {
    cluster.exec(pod, &format!("sha256sum -c -s /{claim}/sum && cat /{claim}/sum"))
}

fn end(cluster: &WholeCluster, pod: &str) -> Result<()> {
    cluster.end_pod(pod)?;
    cluster.wait_until_all_detached()
}
