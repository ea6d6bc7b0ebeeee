//! Claims grow below a running pod: a file system, and a raw device.

use anyhow::{Context, Result, ensure};
use scenarios::{STORAGE_CLASS, Steps, WholeCluster, shell_block_pod, shell_pod};
use serde_json::json;
use testbed::objects::{self, Usage};
use testbed::wait_until;

/// What each grows to.
const LARGER: &str = "256Mi";
/// The same in bytes.
const LARGER_BYTES: u64 = 256 << 20;
/// Most of it, which a file system of 64 MiB cannot show: what ext4 keeps for itself is less than an eighth.
const LARGER_FREE_KIB: u64 = (LARGER_BYTES >> 10) / 8 * 7;

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("two PVCs of 64 MiB, a file system and a raw device, are bound", || {
        cluster.bind(&objects::claim("grown", STORAGE_CLASS, "64Mi", Usage::FILESYSTEM))?;
        cluster.bind(&objects::claim("grown-block", STORAGE_CLASS, "64Mi", Usage::BLOCK))
    })?;
    steps.step("their pods run on a", || {
        cluster.run_pod(&shell_pod("grown", "a", &["grown"], "true"))?;
        cluster.run_pod(&shell_block_pod("grown-block", "a", &["grown-block"], "true"))
    })?;
    let before = steps.step("the first writes 8 MiB", || {
        cluster.exec("grown", "dd if=/dev/urandom of=/grown/payload bs=1M count=8 conv=fsync")?;
        cluster.exec("grown", "sha256sum </grown/payload")
    })?;
    for claim in ["grown", "grown-block"] {
        steps.step(&format!("PVC {claim} asks for {LARGER}: external-resizer grows it"), || {
            grow(cluster, claim)
        })?;
    }
    steps.step("the running pod sees a larger file system, with the same bytes", || {
        wait_for("df -k /grown | tail -1 | awk '{print $2}'", "grown", LARGER_FREE_KIB, cluster)?;
        let after = cluster.exec("grown", "sha256sum </grown/payload")?;
        ensure!(after == before, "{before} became {after}");
        cluster.exec("grown", "dd if=/dev/zero of=/grown/more bs=1M count=100 conv=fsync")
    })?;
    steps.step("the other sees a larger device", || {
        wait_for("blockdev --getsize64 /dev/grown-block", "grown-block", LARGER_BYTES, cluster)
    })?;
    steps.step("both were started once: nothing was restarted", || started_once(cluster))?;
    steps.step("pods and PVCs deleted: nothing of them is on the RDS", || {
        for name in ["grown", "grown-block"] {
            cluster.end_pod(name)?;
            cluster.delete_claim(name)?;
        }
        cluster.wait_until_all_detached()
    })
}

/// Asks for more and waits until the claim says that it has it.
fn grow(cluster: &WholeCluster, claim: &str) -> Result<()> {
    let patch = json!({ "spec": { "resources": { "requests": { "storage": LARGER } } } });
    cluster.admin().patch(&["pvc", claim], &patch)?;
    let grown = format!("--for=jsonpath={{.status.capacity.storage}}={LARGER}");
    let waited = cluster.admin().wait(&[&format!("pvc/{claim}"), &grown], WholeCluster::SOON);
    waited.with_context(|| cluster.admin().run(&["describe", "pvc", claim]).unwrap_or_default())
}

/// Waits until a script in the pod prints at least so much.
fn wait_for(script: &str, pod: &str, least: u64, cluster: &WholeCluster) -> Result<()> {
    Ok(wait_until(&format!("{pod} has {least}"), WholeCluster::SOON, || {
        let said = cluster.exec(pod, script).unwrap_or_default();
        Ok(said.trim().parse::<u64>().is_ok_and(|there| there >= least).then_some(()))
    })?)
}

fn started_once(cluster: &WholeCluster) -> Result<()> {
    let restarts = "jsonpath={.items[*].status.containerStatuses[*].restartCount}";
    let restarts = cluster.admin().run(&["get", "pods", "grown", "grown-block", "-o", restarts])?;
    ensure!(restarts == "0 0", "restarts: {restarts}");
    Ok(())
}
