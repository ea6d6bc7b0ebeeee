//! helm uninstall takes the driver away and nothing else: volumes, their bytes, and the pods that write to them stay;
//! installed again, the driver knows them.

use anyhow::{Result, ensure};
use scenarios::{STORAGE_CLASS, Shell, Steps, WholeCluster, documents, shell_pod};
use testbed::objects::{self, Usage};

use crate::reasons::{Reasons, Said};
use crate::writer;

const NAME: &str = "kept";
const AGAIN: &str = "kept-again";

/// Reasons of the Events that it makes.
pub(crate) const SAYS: Reasons = Reasons::just(&[
    "VolumeAttached",
    "VolumeDetached",
    "RDSDisconnected",
    "RDSReconnected",
    "StartupReconciliation",
]);

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    let there = steps.step("PVC is bound, its pod on b writes", || {
        cluster.bind(&objects::claim(NAME, STORAGE_CLASS, "64Mi", Usage::FILESYSTEM))?;
        cluster.run_pod(&shell_pod(NAME, "b", &[NAME], &writer::script(NAME)))?;
        writer::wait_for_lines(cluster, NAME, 3)?;
        on_the_device(cluster)
    })?;
    let before =
        steps.step("helm uninstall, as docs/operations.md has it: no pod of the driver is left", || {
            let before = Said::so_far(cluster)?;
            let uninstall =
                documents::block_with(&documents::repository("docs/operations.md"), "helm uninstall")?;
            Shell::new(cluster)?.run(&uninstall.content)?;
            let pods = ["-n", scenarios::NAMESPACE, "pods", "--all", "--for=delete"];
            cluster.admin().wait(&pods, WholeCluster::SOON)?;
            anyhow::Ok(before)
        })?;
    let kept = steps.step("the pod writes on; PVC, PV, disk and export are what they were", || {
        let last = writer::wait_for_lines(cluster, NAME, 3)?;
        writer::check(cluster, NAME, NAME, last)?;
        let (volume, now) = (cluster.volume_of(NAME)?, on_the_device(cluster)?);
        cluster.admin().run(&["get", "pv", &volume])?;
        ensure!(now == there, "{there:?} became {now:?}");
        Ok(())
    });
    cluster.rds.stop_simulator();
    let installed =
        steps.step("the device's management is away; helm install --wait ends all the same", || {
            cluster.release.install(&[])?;
            before.of_controller(cluster, ("Warning", "RDSDisconnected"), "")
        });
    let back = cluster.rds.start_simulator();
    println!("{}", installed?);
    steps.step("it is back: a controller leads, the nodes have the driver", || {
        back?;
        cluster.wait_for_leader()?;
        cluster.nodes.iter().try_for_each(|node| cluster.wait_until_registered(node.guest.name()))
    })?;
    kept?;
    steps.step("another pod, on a, has every line", || {
        let last = writer::wait_for_lines(cluster, NAME, 3)?;
        cluster.end_pod(NAME)?;
        cluster.run_pod(&shell_pod(AGAIN, "a", &[NAME], "true"))?;
        writer::check(cluster, AGAIN, NAME, last)
    })?;
    steps.step("pod and PVC deleted: nothing of them is on the RDS", || {
        cluster.end_pod(AGAIN)?;
        cluster.wait_until_all_detached()?;
        cluster.delete_claim(NAME)
    })
}

/// Disks and exports.
fn on_the_device(cluster: &WholeCluster) -> Result<(Vec<String>, Vec<String>)> {
    Ok((cluster.rds.images()?, cluster.rds.exports()?))
}
