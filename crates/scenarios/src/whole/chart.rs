//! The driver as an operator installs it: the chart, by the real helm.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testbed::{ControlPlane, Tools};

use crate::Rds;
use crate::cluster::{ClusterOptions, NAMESPACE, STORAGE_CLASS};
use crate::rds::{PASSWORD, USER};

/// The release's name: with it, objects have the names that `deploy/rbac` has.
const RELEASE: &str = "rds-csi";
/// The driver's image on the nodes; its tag is the version, which is the chart's.
pub(super) const DRIVER_IMAGE: &str = "localhost/rds-csi";
/// Where the nodes have the sidecars.
const REGISTRY: &str = "localhost";
/// The Secrets that the values name.
const CREDENTIALS: &str = "rds-credentials";
const AUTHORITY: &str = "rds-ca";
/// A flag of the controller that the chart takes as a value only.
const RWX_PLAIN_PODS: &str = "--rwx-plain-pods";
/// Three nodes on two busy cores start a pod of four containers in minutes.
const READY: &str = "--timeout=15m";

/// A program beside the controller, in an image of its own under the name that the chart gives.
pub(super) struct Sidecar {
    pub(super) program: &'static str,
    pub(super) image: &'static str,
}

/// The sidecars in the versions that the chart has.
pub(super) const SIDECARS: [Sidecar; 3] = [
    Sidecar { program: "csi-provisioner", image: "localhost/csi-provisioner:v6.3.0" },
    Sidecar { program: "csi-attacher", image: "localhost/csi-attacher:v4.13.0" },
    Sidecar { program: "csi-resizer", image: "localhost/csi-resizer:v2.3.0" },
];

/// The chart's release in a cluster, and helm as the cluster's administrator.
#[derive(Debug)]
pub struct Release {
    helm: PathBuf,
    kubeconfig: PathBuf,
    values: PathBuf,
}

impl Release {
    /// Makes the Secrets and writes the values for this device; nothing is installed yet.
    pub(super) fn prepare(
        tools: &Tools,
        control_plane: &ControlPlane,
        rds: &Rds,
        options: &ClusterOptions,
    ) -> Result<Self> {
        control_plane.add_namespace(NAMESPACE)?;
        let authority = String::from_utf8(rds.certificate()?).context("the device's certificate as text")?;
        let login = json!({ "user": USER, "password": PASSWORD });
        control_plane.admin().create(&secret(CREDENTIALS, &login))?;
        control_plane.admin().create(&secret(AUTHORITY, &json!({ "ca.crt": authority })))?;
        let file = control_plane.folder().join("values.json");
        std::fs::write(&file, values(rds, options).to_string())?;
        let kubeconfig = control_plane.admin().kubeconfig().to_owned();
        Ok(Self { helm: tools.program("helm")?, kubeconfig, values: file })
    }

    /// The file with the values of the installation.
    #[must_use]
    pub fn values(&self) -> &Path {
        &self.values
    }

    /// `helm install`, to the end: every pod is ready.
    ///
    /// # Errors
    /// What helm says.
    pub fn install(&self, further: &[&str]) -> Result<String> {
        self.release("install", further)
    }

    /// `helm upgrade` with the values of the installation and what is set further, to the end.
    ///
    /// # Errors
    /// What helm says.
    pub fn upgrade(&self, further: &[&str]) -> Result<String> {
        self.release("upgrade", further)
    }

    /// `helm uninstall`, to the end.
    ///
    /// # Errors
    /// What helm says.
    pub fn uninstall(&self) -> Result<String> {
        self.helm(&["uninstall", RELEASE, "--wait", READY])
    }

    fn release(&self, verb: &str, further: &[&str]) -> Result<String> {
        let chart = chart();
        let (chart, values) = (text(&chart)?, text(&self.values)?);
        self.helm(&[&[verb, RELEASE, chart, "--values", values, "--wait", READY], further].concat())
    }

    /// Runs helm in the release's namespace; answers what it printed.
    ///
    /// # Errors
    /// What helm says.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        // It waits for long: it ends with who waits for it.
        let helm = &mut Command::new("setpriv");
        helm.args(["--pdeathsig", "KILL"]).arg(&self.helm).args(arguments).args([
            "-n",
            NAMESPACE,
            "--kubeconfig",
            text(&self.kubeconfig)?,
        ]);
        let output = helm.output().context("helm")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "helm {}: {said}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// What an operator writes for this device. The simulator serves a user in order, and was told so: no write waits for
/// the device's 60 s.
fn values(rds: &Rds, options: &ClusterOptions) -> Value {
    let (shared, further): (Vec<_>, Vec<_>) =
        options.controller.iter().partition(|flag| *flag == RWX_PLAIN_PODS);
    json!({
        "image": { "repository": DRIVER_IMAGE, "pullPolicy": "Never" },
        "sidecars": { "registry": REGISTRY, "pullPolicy": "Never" },
        "device": {
            "address": rds.management_in_the_lab(),
            "dataAddress": rds.data_address(),
            "basePaths": ["/raid10/csi"],
            "credentials": { "secretName": CREDENTIALS },
            "tls": { "caSecretName": AUTHORITY },
            "facts": { "order": "fifo" },
        },
        "controller": {
            "replicas": options.replicas,
            "leaseDuration": options.lease,
            "extraArgs": further,
        },
        "attachments": { "rwxPlainPods": !shared.is_empty() },
        "storageClasses": [
            { "name": STORAGE_CLASS },
            { "name": "rds-ext4", "fsType": "ext4" },
            { "name": "rds-xfs", "fsType": "xfs" },
            { "name": "rds-block", "volumeMode": "Block" },
            {
                "name": "rds-kubevirt", "volumeMode": "Block", "accessMode": "ReadWriteMany",
                "parameters": { "migrationTimeoutSeconds": 300 },
            },
        ],
    })
}

fn secret(name: &str, content: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": name, "namespace": NAMESPACE }, "stringData": content,
    })
}

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/rds-csi")
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}
