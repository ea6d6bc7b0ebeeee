//! The real helm.

use std::path::{Path, PathBuf};
use std::process::Command;

use testbed::Tools;

/// What `helm template` takes the cluster for; a cluster that is there says it itself.
const KUBERNETES: &str = "1.36.3";
/// The API that the operator of Prometheus brings.
const POD_MONITORS: &str = "--api-versions=monitoring.coreos.com/v1/PodMonitor";

/// The name and namespace of every release here; they make the names that `deploy/rbac` has.
pub(crate) const RELEASE: &str = "rds-csi";

/// A file or folder below `deploy`.
pub(crate) fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

/// The values of a case.
pub(crate) fn values(case: &str) -> PathBuf {
    deploy("helm/tests").join(case).join("values.yaml")
}

/// Runs helm; what it printed, or what it said where it failed.
pub(crate) fn helm(arguments: &[&str]) -> Result<String, String> {
    let program = Tools::from_environment().unwrap().program("helm").unwrap();
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Renders the chart with the values of a case for a cluster that has everything.
pub(crate) fn template(case: &str, further: &[&str]) -> Result<String, String> {
    let kubernetes = format!("--kube-version={KUBERNETES}");
    render(case, &[&[kubernetes.as_str(), POD_MONITORS], further].concat())
}

/// Renders the chart with the values of a case.
pub(crate) fn render(case: &str, further: &[&str]) -> Result<String, String> {
    let (chart, values) = (deploy("helm/rds-csi"), values(case));
    let (chart, values) = (chart.to_str().unwrap(), values.to_str().unwrap());
    helm(&[&["template", RELEASE, chart, "--namespace", RELEASE, "--values", values], further].concat())
}
