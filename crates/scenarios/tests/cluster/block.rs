//! A raw block claim: a device in the pod, the same bytes on the other node.

use anyhow::{Result, ensure};
use scenarios::{Steps, WholeCluster, shell_block_pod};
use testbed::objects::{self, Usage};

use crate::said;

const CLAIM: &str = "block";
/// The size that is asked for, in bytes: 64 MiB.
const BYTES: &str = "67108864";

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("raw block PVC of 64 MiB is bound", || {
        cluster.bind(&objects::claim(CLAIM, "rds-block", "64Mi", Usage::BLOCK))
    })?;
    steps.step("its pod on a has a device of that size", || run(cluster, "block-a", "a"))?;
    let written = steps.step("it writes 8 MiB at its end", || {
        cluster.exec("block-a", "dd if=/dev/urandom of=/dev/block bs=1M count=8 seek=56 conv=fsync")?;
        sum(cluster, "block-a")
    })?;
    steps.step("the pod is deleted: nothing is attached any more", || end(cluster, "block-a"))?;
    steps.step("another on b reads the same bytes", || {
        run(cluster, "block-b", "b")?;
        let read = sum(cluster, "block-b")?;
        ensure!(read == written, "{written} became {read}");
        Ok(())
    })?;
    steps.step("it is deleted, too", || end(cluster, "block-b"))?;
    steps.step("events: attached to a, detached, attached to b, detached", || {
        said::attached_and_detached(cluster, CLAIM, &["a", "b"])
    })?;
    steps.step("PVC deleted: nothing of it is on the RDS", || cluster.delete_claim(CLAIM))
}

fn run(cluster: &WholeCluster, pod: &str, node: &str) -> Result<()> {
    cluster.run_pod(&shell_block_pod(pod, node, &[CLAIM], "true"))?;
    let bytes = cluster.exec(pod, "blockdev --getsize64 /dev/block")?;
    ensure!(bytes.trim() == BYTES, "{} bytes", bytes.trim());
    Ok(())
}

/// Of the whole device.
fn sum(cluster: &WholeCluster, pod: &str) -> Result<String> {
    cluster.exec(pod, "sha256sum </dev/block")
}

fn end(cluster: &WholeCluster, pod: &str) -> Result<()> {
    cluster.end_pod(pod)?;
    cluster.wait_until_all_detached()
}
