//! A ReadWriteOncePod claim is one pod's: a second is refused until the first is gone, whoever placed it.

use anyhow::{Result, ensure};
use scenarios::{STORAGE_CLASS, Steps, WholeCluster, shell_pod};
use testbed::objects::{self, Usage};

const CLAIM: &str = "alone";
const USAGE: Usage = Usage { access_mode: "ReadWriteOncePod", volume_mode: "Filesystem" };

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("ReadWriteOncePod PVC is bound", || {
        cluster.bind(&objects::claim(CLAIM, STORAGE_CLASS, "64Mi", USAGE))
    })?;
    steps.step("its pod runs on a and writes", || {
        cluster.run_pod(&shell_pod("alone-first", "a", &[CLAIM], "true"))?;
        cluster.exec("alone-first", "echo first >/alone/who && sync")
    })?;
    steps.step("a second pod on a is refused by the scheduler", || {
        cluster.admin().create(&shell_pod("alone-second", "a", &[CLAIM], "true"))?;
        refused(cluster, "FailedScheduling", "alone-second")
    })?;
    steps.step("a third, put on a without the scheduler, is refused by the kubelet", || {
        let mut pod = shell_pod("alone-third", "a", &[CLAIM], "true");
        pod["spec"]["nodeName"] = "a".into();
        cluster.admin().create(&pod)?;
        refused(cluster, "FailedMount", "alone-third")
    })?;
    steps.step("the first has it for itself all the while", || {
        let who = cluster.exec("alone-first", "cat /alone/who")?;
        ensure!(who == "first\n", "{who}");
        cluster.end_pod("alone-third")
    })?;
    steps.step("the first is deleted: the second runs, with its bytes", || {
        cluster.end_pod("alone-first")?;
        cluster.wait_until_running("alone-second", WholeCluster::SOON)?;
        let who = cluster.exec("alone-second", "cat /alone/who")?;
        ensure!(who == "first\n", "{who}");
        Ok(())
    })?;
    steps.step("pod and PVC deleted: nothing of it is on the RDS", || {
        cluster.end_pod("alone-second")?;
        cluster.wait_until_all_detached()?;
        cluster.delete_claim(CLAIM)
    })
}

/// Waits for the event that says why, and the pod does not run.
fn refused(cluster: &WholeCluster, reason: &str, pod: &str) -> Result<()> {
    cluster.control_plane.wait_for_event(reason, WholeCluster::SOON, |event| {
        event.name == pod && event.message.contains("ReadWriteOncePod")
    })?;
    let phase = cluster.admin().run(&["get", "pod", pod, "-o", "jsonpath={.status.phase}"])?;
    ensure!(phase == "Pending", "{pod} is {phase}");
    Ok(())
}
