//! external-resizer, for the specs of growth: the cluster starts the other sidecars.

use anyhow::{Context, Result};
use scenarios::{NAMESPACE, WholeCluster};
use testbed::{Launch, Process, Tools};

/// The service account of the controller and its sidecars.
const ACCOUNT: &str = "rds-csi-controller";

/// Starts it beside the controller, with the rights of its account.
pub(crate) fn start(cluster: &WholeCluster, tools: &Tools) -> Result<Process> {
    let plane = &cluster.control_plane;
    let kubeconfig = plane.kubeconfig_of_service_account(NAMESPACE, ACCOUNT, plane.address())?;
    let pod = cluster.pods.first().context("a cluster without a controller")?;
    let resizer = Launch::new("csi-resizer", &tools.program("csi-resizer")?)
        .argument(format!("--csi-address={}", pod.controller.socket().display()))
        .argument(format!("--kubeconfig={}", kubeconfig.display()))
        // As the chart has it: it may not watch pods.
        .arguments(["--leader-election=false", "--handle-volume-inuse-error=false", "--v=2"]);
    Ok(resizer.start(plane.folder())?)
}
