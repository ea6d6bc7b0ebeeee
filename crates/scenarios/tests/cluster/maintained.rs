//! What docs/operations.md and docs/troubleshooting.md have people type, with this cluster's names in the place of theirs,
//! while a pod writes.

use anyhow::{Result, ensure};
use scenarios::{
    NAMESPACE, STORAGE_CLASS, Shell, Steps, WholeCluster, documents, shell_deployment, shell_pod,
};
use testbed::objects::{self, Usage};

use crate::reasons::Reasons;
use crate::{deployment, writer};

/// What is said of it. The simulator is restarted for its certificates, which a controller may see.
pub(crate) const SAYS: Reasons = Reasons {
    always: &["VolumeAttached", "VolumeDetached", "StartupReconciliation"],
    perhaps: &["RDSDisconnected", "RDSReconnected"],
};

/// Its pod writes on a all the while.
const WRITER: &str = "maintained";
/// Its Deployment is on b until that is drained.
const DRAINED: &str = "drained";
const OPERATIONS: &str = "docs/operations.md";
const TROUBLESHOOTING: &str = "docs/troubleshooting.md";

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    let shell = steps.step("a pod on a writes; an operator has the values of the installation", || {
        cluster.bind(&objects::claim(WRITER, STORAGE_CLASS, "64Mi", Usage::FILESYSTEM))?;
        cluster.run_pod(&shell_pod(WRITER, "a", &[WRITER], &writer::script(WRITER)))?;
        let shell = Shell::new(cluster)?;
        std::fs::copy(cluster.release.values(), shell.folder().join("values.yaml"))?;
        anyhow::Ok(shell)
    })?;
    looked_at(cluster, steps, &shell)?;
    upgraded(cluster, steps, &shell)?;
    certified(cluster, steps, &shell)?;
    drained(cluster, steps, &shell)?;
    steps.step("pod and PVC deleted: nothing of them is on the RDS", || {
        cluster.end_pod(WRITER)?;
        cluster.wait_until_all_detached()?;
        cluster.delete_claim(WRITER)
    })
}

fn looked_at(cluster: &WholeCluster, steps: &mut Steps, shell: &Shell) -> Option<()> {
    let volume = steps.step("the name of its PersistentVolume", || cluster.volume_of(WRITER))?;
    let names = [("NODE", "a"), ("get pv PV", &format!("get pv {volume}"))];
    steps.step("troubleshooting: the logs of the leader, and of the plugin on a", || {
        let said = as_documented(shell, TROUBLESHOOTING, "LEADER=", &names)?;
        ensure!(said.matches("serving CSI").count() == 2, "not one start of each: {said}");
        Ok(())
    })?;
    steps.step("retry-now, declare-fenced: of a volume whose path is live, nothing is lost", || {
        as_documented(shell, TROUBLESHOOTING, "retry-now", &names)?;
        writes_on(cluster)
    })
}

fn upgraded(cluster: &WholeCluster, steps: &mut Steps, shell: &Shell) -> Option<()> {
    steps.step("helm upgrade, with the values that there are", || {
        as_documented(shell, OPERATIONS, "helm upgrade", &[])?;
        writes_on(cluster)
    })
}

fn certified(cluster: &WholeCluster, steps: &mut Steps, shell: &Shell) -> Option<()> {
    steps.step("the device is to have another certificate: controllers trust both, on two nodes", || {
        std::fs::write(shell.folder().join("old.pem"), cluster.rds.certificate()?)?;
        std::fs::write(shell.folder().join("new.pem"), cluster.rds.make_certificate()?)?;
        as_documented(shell, OPERATIONS, "cat OLD NEW", &[("OLD NEW", "old.pem new.pem")])?;
        cluster.controllers_are_apart()?;
        cluster.wait_for_leader()
    })?;
    steps.step("it has: a PVC is bound, and deleted", || {
        let old = cluster.rds.certificate()?;
        cluster.rds.change_certificate()?;
        ensure!(cluster.rds.certificate()? != old, "it serves the old one");
        cluster.bind(&objects::claim(DRAINED, STORAGE_CLASS, "64Mi", Usage::FILESYSTEM))?;
        cluster.delete_claim(DRAINED)?;
        writes_on(cluster)
    })
}

fn drained(cluster: &WholeCluster, steps: &mut Steps, shell: &Shell) -> Option<()> {
    let pod = steps.step("a Deployment's pod writes on b", || {
        cluster.bind(&objects::claim(DRAINED, STORAGE_CLASS, "64Mi", Usage::FILESYSTEM))?;
        cluster.admin().create(&shell_deployment(DRAINED, "b", DRAINED, &writer::script(DRAINED)))?;
        let pod = deployment::wait_until_on(cluster, DRAINED, "b")?;
        writer::wait_for_lines(cluster, &pod, 3)?;
        anyhow::Ok(pod)
    })?;
    let moved = steps.step("b is drained: the pod is on a, with every line", || {
        as_documented(shell, OPERATIONS, "kubectl drain", &[("NODE", "b")])?;
        let moved = deployment::wait_until_on(cluster, DRAINED, "a")?;
        let last = writer::wait_for_lines(cluster, &moved, 3)?;
        let writers = writer::check(cluster, &moved, DRAINED, last)?;
        ensure!(writers == [pod.as_str(), moved.as_str()], "written by {writers:?}");
        writes_on(cluster)
    });
    steps.step("b takes pods again: both controllers run", || {
        shell.run("kubectl uncordon b")?;
        let available = ["-n", NAMESPACE, "deployment/rds-csi-controller", "--for=condition=Available"];
        cluster.admin().wait(&available, WholeCluster::SOON)?;
        cluster.wait_for_leader()
    })?;
    moved?;
    steps.step("Deployment and PVC deleted", || {
        cluster.admin().run(&["delete", "deployment", DRAINED])?;
        let volume = cluster.volume_of(DRAINED)?;
        cluster.control_plane.wait_until_detached(&volume, "a", WholeCluster::SOON)?;
        cluster.delete_claim(DRAINED)
    })
}

/// Runs the document's block that has these words; answers what it printed.
fn as_documented(shell: &Shell, document: &str, words: &str, names: &[(&str, &str)]) -> Result<String> {
    let block = documents::block_with(&documents::repository(document), words)?;
    let lines = names.iter().fold(block.content, |text, (theirs, ours)| text.replace(theirs, ours));
    println!("{}", lines.trim_end());
    shell.run(&lines)
}

fn writes_on(cluster: &WholeCluster) -> Result<()> {
    let last = writer::wait_for_lines(cluster, WRITER, 3)?;
    let writers = writer::check(cluster, WRITER, WRITER, last)?;
    ensure!(writers == [WRITER], "written by {writers:?}");
    Ok(())
}
