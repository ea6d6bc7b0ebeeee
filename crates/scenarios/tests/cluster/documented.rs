//! From a cluster without the driver to a running pod by docs/install.md: its own commands, with the placeholders replaced.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use scenarios::documents::{self, Block};
use scenarios::{BUSYBOX, NAMESPACE, Steps, WholeCluster};
use tempfile::TempDir;
use testbed::Tools;

/// What a person has at this point: the device's password and the certificate of its authority, as files.
const FILES: &str =
    "kubectl -n rds-csi get secret rds-credentials -o jsonpath='{.data.password}' | base64 -d >password
kubectl -n rds-csi get secret rds-ca -o jsonpath='{.data.ca\\.crt}' | base64 -d >ca.crt";

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    let person = steps.step(
        "somebody has the device's password and certificate, and the driver is not there",
        || {
            let person = Person::new(cluster)?;
            person.run(FILES)?;
            cluster.release.uninstall()?;
            person.run(&format!("kubectl delete namespace {NAMESPACE} --timeout=5m"))?;
            anyhow::Ok(person)
        },
    )?;
    for block in steps.step("docs/install.md is read", || person.blocks(cluster))? {
        match block.language.as_str() {
            "yaml" => steps.step(&format!("{}, as a file", block.name), || person.write(&block))?,
            _ => steps.step(&format!("{}:\n{}", block.name, block.content), || {
                person.run(&block.content).map(drop)
            })?,
        }
    }
    steps.step("the pod has written to its volume, and the claim says what became of it", || {
        let log = person.run("kubectl exec writer -- cat /data/log")?;
        ensure!(!log.trim().is_empty(), "the pod's log is empty");
        let said = person.run("kubectl describe pvc data")?;
        ensure!(said.contains("VolumeAttached"), "{said}");
        Ok(())
    })?;
    steps.step("kubectl delete -f claim.yaml: nothing of it is on the RDS", || {
        let handle = cluster.handle_of("data")?;
        person.run("kubectl delete -f claim.yaml --timeout=5m")?;
        cluster.wait_until_all_detached()?;
        cluster.wait_until_gone(&handle)
    })?;
    steps.step("the cluster has its own values again", || {
        cluster.release.upgrade(&[])?;
        cluster.wait_for_leader().map(drop)
    })
}

/// Somebody with a shell in the repository's folder, who keeps what the document has them write.
struct Person {
    folder: TempDir,
    path: std::ffi::OsString,
    kubeconfig: std::path::PathBuf,
}

impl Person {
    fn new(cluster: &WholeCluster) -> Result<Self> {
        let tools = Tools::from_environment()?;
        let programs = ["kubectl", "helm"].map(|name| tools.program(name));
        let mut folders = Vec::new();
        for program in programs {
            folders.push(program?.parent().context("a program's folder")?.to_owned());
        }
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let folder = tempfile::tempdir()?;
        // Charts are named by their place in the repository.
        std::os::unix::fs::symlink(
            documents::repository("deploy").canonicalize()?,
            folder.path().join("deploy"),
        )?;
        let kubeconfig = cluster.admin().kubeconfig().to_owned();
        Ok(Self { folder, path: std::env::join_paths(folders)?, kubeconfig })
    }

    /// Runs lines of the shell, up to the first that fails; answers what they printed.
    fn run(&self, lines: &str) -> Result<String> {
        let shell = &mut Command::new("setpriv");
        shell.args(["--pdeathsig", "KILL", "bash", "-eo", "pipefail", "-c", lines]);
        shell.current_dir(self.folder.path()).env("PATH", &self.path).env("KUBECONFIG", &self.kubeconfig);
        let output = shell.output().context("bash")?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{lines}: {}\n{out}{err}", output.status);
        Ok(out.into_owned())
    }

    /// The file that the document says that a block is.
    fn write(&self, block: &Block) -> Result<()> {
        let name = if block.content.contains("apiVersion:") { "claim.yaml" } else { "values.yaml" };
        Ok(std::fs::write(self.folder.path().join(name), &block.content)?)
    }

    /// What comes after the image, which the nodes have, up to the pod; with this cluster's words in place of the
    /// document's.
    fn blocks(&self, cluster: &WholeCluster) -> Result<Vec<Block>> {
        let all = documents::blocks(Path::new(&documents::repository("docs/install.md")))?;
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
}
