//! A ReadWriteMany block claim on two nodes; a third is refused, and the claim says why.

use anyhow::{Result, ensure};
use scenarios::{Steps, WholeCluster, shell_block_pod};
use testbed::objects::{self, Usage};
use testbed::wait_until;

use crate::reasons::Reasons;
use crate::said::{self, CONTROLLER};

const CLAIM: &str = "shared";

/// Reasons of the Events that it makes.
pub(crate) const SAYS: Reasons = Reasons::just(&["VolumeAttached", "VolumeDetached", "AttachmentConflict"]);

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("ReadWriteMany block PVC is bound", || {
        cluster.bind(&objects::claim(CLAIM, "rds-kubevirt", "64Mi", Usage::SHARED_BLOCK))
    })?;
    steps.step("pods on a and b have it at once, and b reads what a writes", || {
        run(cluster, "a")?;
        run(cluster, "b")?;
        shares(cluster)
    })?;
    steps.step("a pod on c is refused: AttachmentConflict on the claim", || {
        cluster.admin().create(&pod("c"))?;
        let words =
            ["Attachment to node c rejected - volume already attached to node ", "Delete the pod on "];
        said::of_claim(cluster, CLAIM, ("Warning", "AttachmentConflict", CONTROLLER), &words)
    })?;
    let described = steps.step("kubectl describe pvc shows it", || described(cluster))?;
    println!("{described}");
    steps.step("c has nothing of it, a and b share it still", || {
        let on_c = cluster.node("c").volumes()?;
        ensure!(on_c.is_empty(), "c has {on_c}");
        shares(cluster)
    })?;
    steps.step("the pod on a is deleted: the one on c runs", || {
        cluster.end_pod("shared-a")?;
        cluster.wait_until_running("shared-c", WholeCluster::SOON)
    })?;
    steps.step("pods and PVC deleted: nothing of it is on the RDS", || {
        cluster.end_pod("shared-b")?;
        cluster.end_pod("shared-c")?;
        cluster.wait_until_all_detached()?;
        cluster.delete_claim(CLAIM)
    })?;
    steps.step("events: attached and detached, on each", || {
        said::attached_and_detached(cluster, CLAIM, &["a", "b", "c"])
    })
}

fn pod(node: &str) -> serde_json::Value {
    shell_block_pod(&format!("shared-{node}"), node, &[CLAIM], "true")
}

fn run(cluster: &WholeCluster, node: &str) -> Result<()> {
    cluster.run_pod(&pod(node))
}

/// Both directions, past each node's cache.
fn shares(cluster: &WholeCluster) -> Result<()> {
    for (from, to) in [("shared-a", "shared-b"), ("shared-b", "shared-a")] {
        cluster.exec(from, "dd if=/dev/urandom of=/dev/shared bs=1M count=1 oflag=direct")?;
        let sum = "dd if=/dev/shared bs=1M count=1 iflag=direct 2>/dev/null | sha256sum";
        let (written, read) = (cluster.exec(from, sum)?, cluster.exec(to, sum)?);
        ensure!(written == read, "{from} wrote {written}, {to} reads {read}");
    }
    Ok(())
}

/// The line of it.
fn described(cluster: &WholeCluster) -> Result<String> {
    Ok(wait_until("kubectl describe pvc shows AttachmentConflict", WholeCluster::SOON, || {
        let all = cluster.admin().run(&["describe", "pvc", CLAIM])?;
        Ok(all.lines().find(|line| line.contains("AttachmentConflict")).map(str::to_owned))
    })?)
}
