//! From a cluster without the driver to a running pod by docs/install.md: its own commands, with the placeholders replaced.

use anyhow::{Context, Result, ensure};
use scenarios::documents::{self, Block};
use scenarios::{BUSYBOX, NAMESPACE, Shell, Steps, WholeCluster};

use crate::reasons::{Reasons, Said};

/// What somebody has at this point: the device's password and the certificate of its authority, as files.
const FILES: &str =
    "kubectl -n rds-csi get secret rds-credentials -o jsonpath='{.data.password}' | base64 -d >password
kubectl -n rds-csi get secret rds-ca -o jsonpath='{.data.ca\\.crt}' | base64 -d >ca.crt";

/// Reasons of the Events that it makes.
pub(crate) const SAYS: Reasons =
    Reasons::just(&["VolumeAttached", "VolumeDetached", "StartupReconciliation"]);

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    let shell = steps.step(
        "somebody has the device's password and certificate, and the driver is not there",
        || {
            let shell = Shell::new(cluster)?;
            shell.run(FILES)?;
            cluster.release.uninstall()?;
            shell.run(&format!("kubectl delete namespace {NAMESPACE} --timeout=5m"))?;
            anyhow::Ok(shell)
        },
    )?;
    for block in steps.step("docs/install.md is read", || blocks(cluster))? {
        match block.language.as_str() {
            "yaml" => steps.step(&format!("{}, as a file", block.name), || write(&shell, &block))?,
            _ => steps.step(&format!("{}:\n{}", block.name, block.content), || {
                shell.run(&block.content).map(drop)
            })?,
        }
    }
    steps.step("the pod has written to its volume, and the claim says what became of it", || {
        let log = shell.run("kubectl exec writer -- cat /data/log")?;
        ensure!(!log.trim().is_empty(), "the pod's log is empty");
        let said = shell.run("kubectl describe pvc data")?;
        ensure!(said.contains("VolumeAttached"), "{said}");
        Ok(())
    })?;
    steps.step("kubectl delete -f claim.yaml: nothing of it is on the RDS", || {
        let handle = cluster.handle_of("data")?;
        shell.run("kubectl delete -f claim.yaml --timeout=5m")?;
        cluster.wait_until_all_detached()?;
        cluster.wait_until_gone(&handle)
    })?;
    steps
        .step("the cluster has its own values again", || {
            let before = Said::so_far(cluster)?;
            cluster.release.upgrade(&[])?;
            // What the new one says is no story's after this one.
            before.of_controller(cluster, ("Normal", "StartupReconciliation"), "")
        })
        .map(drop)
}

/// Writes the file that the document says that a block is.
fn write(shell: &Shell, block: &Block) -> Result<()> {
    let name = if block.content.contains("apiVersion:") { "claim.yaml" } else { "values.yaml" };
    Ok(std::fs::write(shell.folder().join(name), &block.content)?)
}

/// What comes after the image, which the nodes have, up to the pod; with this cluster's words in place of the
/// document's.
fn blocks(cluster: &WholeCluster) -> Result<Vec<Block>> {
    let all = documents::blocks(&documents::repository("docs/install.md"))?;
    let first = all.iter().position(|block| block.content.contains("create namespace"));
    let last = all.iter().position(|block| block.content.contains("describe pvc"));
    let (first, last) = first.zip(last).context("docs/install.md begins and ends otherwise")?;
    let words = [
        ("REGISTRY/rds-csi", "localhost/rds-csi"),
        ("REGISTRY/sig-storage", "localhost"),
        ("https://rds.example", &cluster.rds.management_in_the_lab()),
        ("10.0.0.1", &cluster.rds.data_address()),
        ("password=FILE", "password=password"),
        ("ca.crt=FILE", "ca.crt=ca.crt"),
        ("image: busybox", &format!("image: {BUSYBOX}")),
        // The device in the lab is small.
        ("storage: 10Gi", "storage: 64Mi"),
    ];
    let all = all[first..=last].iter().cloned();
    let replaced = |block: Block| {
        let content = words.iter().fold(block.content, |text, (ours, theirs)| text.replace(ours, theirs));
        Block { content, ..block }
    };
    Ok(all.map(replaced).collect())
}
