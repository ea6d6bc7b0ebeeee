//! A node is cut off from the cluster but not from the RDS: its pod writes on until the volume is taken away, and
//! nothing of it lands from then on. Back without a reboot, the node gets the same claim again.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use scenarios::{STORAGE_CLASS, Steps, WholeCluster, shell_deployment, shell_pod};
use testbed::objects::{self, Usage};
use testbed::wait_until;

use crate::reasons::Reasons;
use crate::said;
use crate::{deployment, file_system, writer};

const NAME: &str = "cut";

/// Reasons of the Events that it makes. The leader may have been on the node that is cut off; when that is back, its plugin
/// may find the dead mount before the kubelet unmounts it, and says that the claim's connection lives when it comes again.
pub(crate) const SAYS: Reasons = Reasons {
    always: &["VolumeAttached", "VolumeDetached", "ConnectionFailure", "UnwrittenDataLost"],
    perhaps: &["StartupReconciliation", "StaleMountDetected", "ConnectionRecovery"],
};

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("PVC is bound", || {
        cluster.bind(&objects::claim(NAME, STORAGE_CLASS, "64Mi", Usage::FILESYSTEM))
    })?;
    let old = steps.step("a Deployment's pod on a writes to it", || {
        cluster.admin().create(&shell_deployment(NAME, "a", NAME, &writer::script(NAME)))?;
        let pod = deployment::wait_until_on(cluster, NAME, "a")?;
        writer::wait_for_lines(cluster, &pod, 5)?;
        anyhow::Ok(pod)
    })?;
    let exported = steps.step("the device exports it once", || one_export(cluster))?;
    cluster.node("a").api.cut();
    let moved = moved(cluster, steps, &old, &exported);
    cluster.node("a").api.restore();
    let pod = moved?;
    steps.step("a is back, without a reboot: Ready, and nothing of the volume is left on it", || {
        cluster.wait_until_ready("a")?;
        Ok::<_, anyhow::Error>(wait_until("a has let go", WholeCluster::SOON, || {
            Ok(cluster.node("a").volumes().is_ok_and(|left| left.is_empty()).then_some(()))
        })?)
    })?;
    steps.step("all the while the new pod has written on, and it alone", || {
        only_in_order(cluster, &pod, &old)
    })?;
    file_system::end_and_check(cluster, NAME, steps)?;
    again_on_a(cluster, steps)
}

/// From the cut to the pod's running elsewhere; answers its name.
fn moved(cluster: &WholeCluster, steps: &mut Steps, old: &str, exported: &str) -> Option<String> {
    steps.step("a is cut off from the cluster, not from the RDS: its Node is not Ready", || {
        cluster.admin().wait(&["node/a", "--for=condition=Ready=Unknown"], WholeCluster::SOON)
    })?;
    steps.step("its pod writes on", || {
        let before = lines_on_a(cluster)?;
        Ok::<_, anyhow::Error>(wait_until("more lines on a", WholeCluster::SOON, || {
            Ok(lines_on_a(cluster).is_ok_and(|now| now >= before + 3).then_some(()))
        })?)
    })?;
    steps.step("an operator deletes it by force", || {
        cluster.admin().run(&["delete", "pod", old, "--force", "--grace-period=0"])
    })?;
    let pod = steps.step("after six minutes Kubernetes detaches by force: the pod runs elsewhere", || {
        deployment::wait_until_not_on(cluster, (NAME, "a"), deployment::BY_FORCE)
    })?;
    steps.step("what a had synced is there, and the volume has another name now", || {
        writer::wait_for_lines(cluster, &pod, 3)?;
        only_in_order(cluster, &pod, old)?;
        let export = one_export(cluster)?;
        ensure!(export != exported, "{export} is what a knew");
        Ok(())
    })?;
    Some(pod)
}

fn again_on_a(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("a pod on a has the same PVC again, with every line, and writes on", || {
        cluster.run_pod(&shell_pod("cut-again", "a", &[NAME], &writer::script(NAME)))?;
        let last = writer::wait_for_lines(cluster, "cut-again", 3)?;
        let writers = writer::check(cluster, "cut-again", NAME, last)?;
        ensure!(writers.len() == 3, "written by {writers:?}");
        cluster.end_pod("cut-again")?;
        cluster.wait_until_all_detached()?;
        file_system::is_clean(cluster, NAME)
    })?;
    steps.step(
        "events: a lost its connection and what it had not written; attached to a and detached",
        || {
            for reason in ["ConnectionFailure", "UnwrittenDataLost"] {
                said::of_claim(cluster, NAME, ("Warning", reason, said::NODE), &["] on [a]: "])?;
            }
            said::attached_and_detached(cluster, NAME, &["a"])
        },
    )?;
    steps.step("PVC deleted: nothing of it is on the RDS", || cluster.delete_claim(NAME))
}

/// Two have written, the new pod after the old one.
fn only_in_order(cluster: &WholeCluster, pod: &str, old: &str) -> Result<()> {
    let writers = writer::check(cluster, pod, NAME, 8)?;
    ensure!(writers == [old, pod], "written by {writers:?}");
    Ok(())
}

fn one_export(cluster: &WholeCluster) -> Result<String> {
    let exports: BTreeSet<String> = cluster.rds.exports()?.into_iter().collect();
    ensure!(exports.len() == 1, "the RDS exports {exports:?}");
    exports.into_iter().next().context("one export")
}

/// How many lines the pod on a sees, whom nobody reaches by way of the cluster.
fn lines_on_a(cluster: &WholeCluster) -> Result<u64> {
    let mount = "$(grep -m 1 ' / /var/lib/kubelet/.*nvme' /proc/self/mountinfo | cut -d ' ' -f 5)";
    let lines = cluster.node("a").guest.sh(&format!("wc -l <{mount}/log"))?;
    lines.trim().parse().with_context(|| format!("lines: {lines:?}"))
}
