//! A StatefulSet of three, each with a claim of its own: scaled down and up, each finds its bytes again.

use anyhow::{Result, ensure};
use scenarios::{STORAGE_CLASS, Steps, WholeCluster, shell_stateful_set};

const PODS: [&str; 3] = ["set-0", "set-1", "set-2"];

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("a StatefulSet of three runs, each pod with a volume", || {
        cluster.admin().create(&shell_stateful_set("set", 3, STORAGE_CLASS, "64Mi", "true"))?;
        wait_until_running(cluster)
    })?;
    let written = steps.step("each writes bytes of its own", || {
        let write = "dd if=/dev/urandom of=/data/own bs=1M count=4 conv=fsync && sync";
        PODS.iter().try_for_each(|pod| cluster.exec(pod, write).map(drop))?;
        sums(cluster)
    })?;
    steps.step("scaled to none: nothing is attached, three volumes stay", || {
        let images = cluster.rds.images()?.len();
        scale(cluster, 0)?;
        for pod in PODS {
            cluster.admin().wait(&[&format!("pod/{pod}"), "--for=delete"], WholeCluster::SOON)?;
        }
        cluster.wait_until_all_detached()?;
        let left = cluster.rds.images()?.len();
        ensure!(left == images && left >= PODS.len(), "{images} images became {left}");
        Ok(())
    })?;
    steps.step("scaled to three: each has its own bytes again", || {
        scale(cluster, 3)?;
        wait_until_running(cluster)?;
        let read = sums(cluster)?;
        ensure!(read == written, "{written:?} became {read:?}");
        Ok(())
    })?;
    steps.step("StatefulSet and PVCs deleted: nothing of them is on the RDS", || {
        cluster.admin().run(&["delete", "statefulset", "set", "--cascade=foreground", "--wait=false"])?;
        for pod in PODS {
            cluster.admin().wait(&[&format!("pod/{pod}"), "--for=delete"], WholeCluster::SOON)?;
        }
        cluster.wait_until_all_detached()?;
        PODS.iter().try_for_each(|pod| cluster.delete_claim(&format!("data-{pod}")))
    })
}

fn scale(cluster: &WholeCluster, replicas: u32) -> Result<()> {
    cluster.admin().run(&["scale", "statefulset", "set", &format!("--replicas={replicas}")])?;
    Ok(())
}

/// Waits until all are there, which come one after the other, and run.
fn wait_until_running(cluster: &WholeCluster) -> Result<()> {
    for pod in PODS {
        cluster.admin().wait(&[&format!("pod/{pod}"), "--for=create"], WholeCluster::SOON)?;
        cluster.wait_until_running(pod, WholeCluster::SOON)?;
    }
    Ok(())
}

fn sums(cluster: &WholeCluster) -> Result<Vec<String>> {
    PODS.iter().map(|pod| cluster.exec(pod, "sha256sum </data/own")).collect()
}
