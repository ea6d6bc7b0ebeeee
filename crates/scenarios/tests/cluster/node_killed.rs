//! A node loses its power; told that it is out of service, Kubernetes moves its pod, which finds all that was synced.

use anyhow::Result;
use scenarios::{STORAGE_CLASS, Steps, WholeCluster, shell_deployment};
use testbed::objects::{self, Usage};

use crate::reasons::{COMES_AND_GOES, Reasons};
use crate::said;
use crate::{deployment, file_system, writer};

const NAME: &str = "killed";
/// After this long without a word a node is silent to the control plane, and a while later everybody knows.
const SILENT: std::time::Duration = WholeCluster::SOON;

/// Reasons of the Events that it makes. The leader may have been on the node that is killed.
pub(crate) const SAYS: Reasons =
    Reasons { always: COMES_AND_GOES.always, perhaps: &["StartupReconciliation"] };

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("PVC is bound", || {
        cluster.bind(&objects::claim(NAME, STORAGE_CLASS, "64Mi", Usage::FILESYSTEM))
    })?;
    let written = steps.step("a Deployment's pod on a writes to it", || {
        cluster.admin().create(&shell_deployment(NAME, "a", NAME, &writer::script(NAME)))?;
        let pod = deployment::wait_until_on(cluster, NAME, "a")?;
        writer::wait_for_lines(cluster, &pod, 5)
    })?;
    steps.step("a loses its power; its Node is not Ready", || {
        cluster.node("a").power_off();
        cluster.admin().wait(&["node/a", "--for=condition=Ready=Unknown"], SILENT)
    })?;
    let moved = moved(cluster, steps, written);
    steps.step("a is powered on again, and in service", || revive(cluster))?;
    moved?;
    file_system::end_and_check(cluster, NAME, steps)?;
    steps.step("events: attached to a, detached; attached elsewhere", || {
        said::attached_and_detached(cluster, NAME, &["a", "b"])
    })?;
    steps.step("PVC deleted: nothing of it is on the RDS", || cluster.delete_claim(NAME))
}

fn moved(cluster: &WholeCluster, steps: &mut Steps, written: u64) -> Option<()> {
    let pod = steps.step(
        "tainted as out of service: the pod is moved, before Kubernetes detaches by force",
        || {
            cluster.control_plane.taint_out_of_service("a")?;
            deployment::wait_until_not_on(cluster, (NAME, "a"), WholeCluster::SOON)
        },
    )?;
    steps.step("every line that was synced is there, and it goes on", || {
        let last = writer::wait_for_lines(cluster, &pod, 3)?.max(written);
        writer::check(cluster, &pod, NAME, last)
    })?;
    Some(())
}

fn revive(cluster: &WholeCluster) -> Result<()> {
    let node = cluster.node("a");
    node.power_on()?;
    cluster.wait_until_ready("a")?;
    // It may not be there: a step before may have failed.
    let _ = cluster.admin().run(&["taint", "node", "a", "node.kubernetes.io/out-of-service-"]);
    cluster.wait_until_registered("a")
}
