//! The flags of `rds-csi node`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use volume::{ClusterId, NodeId, NqnPrefix};

use super::kubernetes::KubernetesArguments;
use super::plugin::PluginArguments;
use super::registration::RegistrationArguments;
use super::telemetry::TelemetryArguments;
use super::values::{absolute_path, duration, node_name};

/// `rds-csi node`.
#[derive(Debug, Args)]
pub(crate) struct NodeArguments {
    #[command(flatten)]
    pub(crate) plugin: PluginArguments,
    #[command(flatten)]
    pub(crate) registration: RegistrationArguments,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryArguments,
    #[command(flatten)]
    pub(crate) kubernetes: KubernetesArguments,

    /// Name of this machine's Node object
    #[arg(long, env = "KUBE_NODE_NAME", value_parser = node_name, value_name = "NAME")]
    pub(crate) node_name: NodeId,

    /// The kubelet's directory
    #[arg(long, env = "RDS_CSI_KUBELET_DIR", value_parser = absolute_path, default_value = "/var/lib/kubelet",
          value_name = "DIR")]
    pub(crate) kubelet_dir: PathBuf,

    /// The driver's own directory, for records of staged volumes; it must outlive a reboot [default: <kubelet-dir>/plugins/<driver-name>/state]
    #[arg(long, env = "RDS_CSI_STATE_DIR", value_parser = absolute_path, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// What the NQN of every volume begins with; only such connections are ever touched
    #[arg(long, env = "RDS_CSI_NQN_PREFIX", value_parser = NqnPrefix::parse,
          default_value = "nqn.2000-02.com.mikrotik", value_name = "NQN")]
    pub(crate) nqn_prefix: NqnPrefix,

    /// This cluster's id, as the controller has it: whose connections may be orphans [default: the UID of the namespace
    /// kube-system]
    #[arg(long, env = "RDS_CSI_CLUSTER_ID", value_parser = ClusterId::parse, value_name = "ID")]
    pub(crate) cluster_id: Option<ClusterId>,

    /// A cgroup (v2) outside the driver's container for its helper processes, made where it is missing: one that hangs in
    /// the kernel does not keep the container from ending [default: helpers live in the container's]
    #[arg(long, env = "RDS_CSI_HELPER_CGROUP", value_parser = absolute_path, value_name = "DIR")]
    pub(crate) helper_cgroup: Option<PathBuf>,

    /// How long a connection that no volume on this node accounts for is left alone before it is cut. A kubelet asks for a
    /// stage again within two minutes: what a lost record left is then staged anew rather than cut
    #[arg(long, env = "RDS_CSI_ORPHAN_GRACE", value_parser = duration, default_value = "5m", value_name = "TIME")]
    pub(crate) orphan_grace: Duration,

    /// Most volumes on this node; 0 leaves it to the scheduler
    #[arg(long, env = "RDS_CSI_MAX_VOLUMES", default_value_t = 0, value_parser = clap::value_parser!(u16),
          value_name = "COUNT")]
    pub(crate) max_volumes: u16,
}
