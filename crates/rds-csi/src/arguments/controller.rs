//! The flags of `rds-csi controller`.

use std::time::Duration;

use clap::Args;
use csi_controller::{PodsUnreadable, PoolReserve};
use volume::{BasePath, ClusterId, DataAddress, Fencing, NqnPrefix};

use super::device::DeviceArguments;
use super::election::ElectionArguments;
use super::kubernetes::KubernetesArguments;
use super::plugin::PluginArguments;
use super::telemetry::TelemetryArguments;
use super::values::{FENCING_VALUES, bytes, duration, fencing, interval, pods_unreadable, pool_reserve};

/// `rds-csi controller`.
#[derive(Debug, Args)]
pub(crate) struct ControllerArguments {
    #[command(flatten)]
    pub(crate) plugin: PluginArguments,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryArguments,
    #[command(flatten)]
    pub(crate) kubernetes: KubernetesArguments,
    #[command(flatten)]
    pub(crate) election: ElectionArguments,
    #[command(flatten)]
    pub(crate) attachments: AttachmentArguments,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[command(flatten)]
    pub(crate) volumes: VolumeArguments,
    #[command(flatten)]
    pub(crate) fence: FenceArguments,
}

/// What volumes are made of.
#[derive(Debug, Args)]
#[command(next_help_heading = "Volumes")]
pub(crate) struct VolumeArguments {
    /// This cluster's id, which marks its volumes on the device; never change it [default: the UID of the namespace
    /// kube-system; required without Kubernetes]
    #[arg(long, env = "RDS_CSI_CLUSTER_ID", value_parser = ClusterId::parse, value_name = "ID")]
    pub(crate) cluster_id: Option<ClusterId>,

    /// Directory on the device for images, /pool/dir; repeatable, the first is the default
    #[arg(long = "base-path", env = "RDS_CSI_BASE_PATH", value_parser = BasePath::parse, value_delimiter = ',',
          required = true, value_name = "PATH")]
    pub(crate) base_paths: Vec<BasePath>,

    /// Where nodes reach the device by NVMe/TCP, host[:port]
    #[arg(long, env = "RDS_CSI_NVME_ADDRESS", value_parser = DataAddress::parse, value_name = "HOST[:PORT]")]
    pub(crate) nvme_address: DataAddress,

    /// What the NQN of every volume begins with
    #[arg(long, env = "RDS_CSI_NQN_PREFIX", value_parser = NqnPrefix::parse,
          default_value = "nqn.2000-02.com.mikrotik", value_name = "NQN")]
    pub(crate) nqn_prefix: NqnPrefix,

    /// Largest volume that is made: bytes, or with Ki, Mi, Gi, Ti
    #[arg(long, env = "RDS_CSI_MAX_VOLUME_SIZE", value_parser = bytes, default_value = "16Ti", value_name = "SIZE")]
    pub(crate) max_volume_size: u64,

    /// Part of each pool that is never promised to volumes, in percent, 0 to 50
    #[arg(long, env = "RDS_CSI_POOL_RESERVE", value_parser = pool_reserve, default_value = "5", value_name = "PERCENT")]
    pub(crate) pool_reserve: PoolReserve,
}

/// How attachments are looked after, where there is Kubernetes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Attachments")]
pub(crate) struct AttachmentArguments {
    /// How long nobody must have wanted an attachment before it is cleared
    #[arg(long, env = "RDS_CSI_ATTACHMENT_GRACE_PERIOD", value_parser = duration, default_value = "30s", value_name = "TIME")]
    pub(crate) attachment_grace_period: Duration,

    /// How often all attachments are looked at, whatever the watches say
    #[arg(long, env = "RDS_CSI_ATTACHMENT_RECONCILE_INTERVAL", value_parser = interval, default_value = "5m", value_name = "TIME")]
    pub(crate) attachment_reconcile_interval: Duration,

    /// Let two nodes share a ReadWriteMany block volume without a KubeVirt virtual machine
    #[arg(long, env = "RDS_CSI_RWX_PLAIN_PODS")]
    pub(crate) rwx_plain_pods: bool,

    /// What becomes of a second node where pods may not be read
    #[arg(long, env = "RDS_CSI_PODS_UNREADABLE", value_parser = pods_unreadable, default_value = "refuse", value_name = "refuse|allow")]
    pub(crate) pods_unreadable: PodsUnreadable,
}

/// How a detached node is kept out.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fencing")]
pub(crate) struct FenceArguments {
    /// How a detached volume is kept from its old node
    #[arg(long, env = "RDS_CSI_FENCING", value_parser = fencing, default_value = "generation",
          value_name = FENCING_VALUES)]
    pub(crate) fencing: Fencing,

    /// Wait after an unproven detach, before the next node gets the volume
    #[arg(long, env = "RDS_CSI_FENCE_SETTLE", value_parser = duration, default_value = "5s", value_name = "TIME")]
    pub(crate) fence_settle: Duration,

    /// What was shown of this device, name=value; repeatable; what is not said is taken the cautious way:
    /// unexport=early|drains, order=unknown|fifo, allow-list=unproven|one|comma, growth=unknown|live|re-export
    #[arg(long = "device", env = "RDS_CSI_DEVICE", value_delimiter = ',', value_name = "NAME=VALUE")]
    pub(crate) device_facts: Vec<String>,
}
