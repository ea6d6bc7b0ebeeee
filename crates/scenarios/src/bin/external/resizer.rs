//! external-resizer, for the specs of growth, where the cluster runs the controller and the other sidecars as processes.

use anyhow::Result;
use scenarios::{NAMESPACE, WholeCluster};
use testbed::{Launch, Process, Tools};

/// The service account of the controller and its sidecars.
const ACCOUNT: &str = "rds-csi-controller";

/// Starts it beside the controller, with the rights of its account. `None` where no controller listens on this machine:
/// what the chart installs has its own.
pub(crate) fn start(cluster: &WholeCluster, tools: &Tools) -> Result<Option<Process>> {
    let plane = &cluster.control_plane;
    let socket = plane.folder().join(format!("{ACCOUNT}-0/csi.sock"));
    if !socket.exists() {
        return Ok(None);
    }
    let kubeconfig = plane.kubeconfig_of_service_account(NAMESPACE, ACCOUNT, plane.address())?;
    let resizer = Launch::new("csi-resizer", &tools.program("csi-resizer")?)
        .argument(format!("--csi-address={}", socket.display()))
        .argument(format!("--kubeconfig={}", kubeconfig.display()))
        // As the chart has it: it may not watch pods.
        .arguments(["--leader-election=false", "--handle-volume-inuse-error=false", "--v=2"]);
    Ok(Some(resizer.start(plane.folder())?))
}
