use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use volume::{NodeId, NqnPrefix};

use super::plugin::PluginArguments;
use super::telemetry::TelemetryArguments;
use super::values::{absolute_path, duration, node_name};

/// `rds-csi node`.
#[derive(Debug, Args)]
pub(crate) struct NodeArguments {
    #[command(flatten)]
    pub(crate) plugin: PluginArguments,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryArguments,

    /// Name of this machine's Node object
    #[arg(long, env = "KUBE_NODE_NAME", value_parser = node_name, value_name = "NAME")]
    pub(crate) node_name: NodeId,

    /// The kubelet's directory
    #[arg(long, env = "RDS_CSI_KUBELET_DIR", value_parser = absolute_path, default_value = "/var/lib/kubelet",
          value_name = "DIR")]
    pub(crate) kubelet_dir: PathBuf,

    /// Where records of staged volumes are kept [default: <kubelet-dir>/plugins/<driver-name>/state]
    #[arg(long, env = "RDS_CSI_STATE_DIR", value_parser = absolute_path, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// What the NQN of every volume begins with; only such connections are ever touched
    #[arg(long, env = "RDS_CSI_NQN_PREFIX", value_parser = NqnPrefix::parse,
          default_value = "nqn.2000-02.com.mikrotik", value_name = "NQN")]
    pub(crate) nqn_prefix: NqnPrefix,

    /// Most volumes on this node; 0 leaves it to the scheduler
    #[arg(long, env = "RDS_CSI_MAX_VOLUMES", default_value_t = 0, value_parser = clap::value_parser!(u16),
          value_name = "COUNT")]
    pub(crate) max_volumes: u16,

    #[command(flatten)]
    pub(crate) connection: ConnectionArguments,
}

/// Connections of volumes whose class names nothing else.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connections, where a StorageClass says nothing else")]
pub(crate) struct ConnectionArguments {
    /// Seconds for which a lost path is tried again before I/O fails; -1 for ever
    #[arg(long, env = "RDS_CSI_CTRL_LOSS_TMO", default_value_t = 1800, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(-1..), value_name = "SECONDS")]
    pub(crate) ctrl_loss_tmo: i32,

    /// Seconds between two tries
    #[arg(long, env = "RDS_CSI_RECONNECT_DELAY", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=3600), value_name = "SECONDS")]
    pub(crate) reconnect_delay: u32,

    /// Seconds without an answer after which a path counts as lost
    #[arg(long, env = "RDS_CSI_KEEP_ALIVE_TMO", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=3600), value_name = "SECONDS")]
    pub(crate) keep_alive_tmo: u32,

    /// I/O queues [default: the smaller of the CPUs and 8]
    #[arg(long, env = "RDS_CSI_NR_IO_QUEUES", value_parser = clap::value_parser!(u32).range(1..=128),
          value_name = "COUNT")]
    pub(crate) nr_io_queues: Option<u32>,

    /// How long connecting may take
    #[arg(long, env = "RDS_CSI_CONNECT_TIMEOUT", value_parser = duration, default_value = "10s", value_name = "TIME")]
    pub(crate) connect_timeout: Duration,
}
