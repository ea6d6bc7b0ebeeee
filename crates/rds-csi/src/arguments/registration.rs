//! The flags of registration with the kubelet.

use clap::Args;
use csi_server::Endpoint;

/// How the plugin makes itself known to the kubelet, if it does.
#[derive(Debug, Args)]
pub(crate) struct RegistrationArguments {
    /// Register with the kubelet by this socket, to be in <kubelet-dir>/plugins_registry on the host, as in
    /// /registration/rds.csi.srvlab.io-reg.sock; without it a registrar has to do it
    #[arg(long, env = "RDS_CSI_REGISTRATION_SOCKET", value_name = "PATH")]
    pub(crate) registration_socket: Option<Endpoint>,

    /// The socket of --endpoint by the path that it has on the host, where the kubelet looks for it [default: --endpoint]
    #[arg(long, env = "RDS_CSI_REGISTERED_ENDPOINT", value_name = "PATH", requires = "registration_socket")]
    pub(crate) registered_endpoint: Option<Endpoint>,
}
