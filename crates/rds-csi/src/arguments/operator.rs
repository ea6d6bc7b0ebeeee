//! The flags of what an operator says to a running plugin.

use clap::Args;
use csi_server::Endpoint;
use volume::Slot;

/// `rds-csi declare-fenced` and `rds-csi retry-now`.
#[derive(Debug, Args)]
pub(crate) struct OperatorArguments {
    /// The socket of the node's plugin
    #[arg(long, env = "RDS_CSI_ENDPOINT", default_value = "unix:///csi/csi.sock")]
    pub(crate) endpoint: Endpoint,

    /// The volume that is meant
    #[arg(value_parser = Slot::parse, value_name = "VOLUME_ID")]
    pub(crate) volume: Slot,
}
