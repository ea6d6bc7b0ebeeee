//! The flags of both roles: sockets and names.

use clap::Args;
use csi_server::Endpoint;

use super::values::{DriverName, ListenAddress};

/// What both roles have in common.
#[derive(Debug, Args)]
pub(crate) struct PluginArguments {
    /// The socket to serve CSI on, unix:///dir/name.sock; its directory must exist
    #[arg(long, env = "RDS_CSI_ENDPOINT", default_value = "unix:///csi/csi.sock")]
    pub(crate) endpoint: Endpoint,

    /// The driver's name, which PVs and StorageClasses carry
    #[arg(long, env = "RDS_CSI_DRIVER_NAME", default_value = "rds.csi.srvlab.io")]
    pub(crate) driver_name: DriverName,

    /// Where /metrics, /livez and /readyz are served, or `off`
    #[arg(long, env = "RDS_CSI_METRICS_ADDRESS", default_value = "0.0.0.0:9809", value_name = "IP:PORT|off")]
    pub(crate) metrics_address: ListenAddress,
}
