//! What the controller is told at start.

use std::time::Duration;

use attachment::PodsUnreadable;
use thiserror::Error;
use volume::{BasePath, ClusterId, DataAddress, Fencing, Limits, NqnPrefix, Parameters};

use crate::DeviceFacts;

/// The controller's configuration. All values are checked by their types but for [`Config::check`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster whose volumes these are.
    pub cluster_id: ClusterId,
    /// Where images are made; the first is for classes that name no `volumePath`. Deleting looks below each.
    pub base_paths: Vec<BasePath>,
    /// Where the device answers NVMe/TCP, for classes that name no `nvmeAddress`.
    pub nvme_address: DataAddress,
    /// What NQNs begin with.
    pub nqn_prefix: NqnPrefix,
    /// How a detached volume is kept from its old node.
    pub fencing: Fencing,
    /// How long a volume waits after a generation that ended unproven.
    pub fence_settle: Duration,
    /// Smallest, largest and default size of a volume, in bytes.
    pub limits: Limits,
    /// What is known of the device.
    pub device: DeviceFacts,
}

/// How attachments are looked after where there is a Kubernetes to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachmentPolicy {
    /// How long nobody must have wanted what the reconciler closes; a publish within it counts as a hand-off.
    pub grace: Duration,
    /// How often everything is looked at, whatever the watches say.
    pub reconcile_interval: Duration,
    /// Two nodes may share a block volume without a virtual machine.
    pub rwx_plain_pods: bool,
    /// What to do about a second node where pods may not be read.
    pub pods_unreadable: PodsUnreadable,
}

impl Default for AttachmentPolicy {
    /// The described system's times (requirements R17, R19), and the cautious side.
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            reconcile_interval: Duration::from_secs(300),
            rwx_plain_pods: false,
            pods_unreadable: PodsUnreadable::Refuse,
        }
    }
}

/// The part of a pool that is never promised, in percent: it covers what others write meanwhile, and what the file
/// system wants free (docs/adr/0003).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolReserve(u8);

impl PoolReserve {
    /// More would waste most of a pool, and is taken for a slip.
    pub const LARGEST: u8 = 50;

    /// `None` over [`Self::LARGEST`].
    #[must_use]
    pub fn percent(percent: u8) -> Option<Self> {
        (percent <= Self::LARGEST).then_some(Self(percent))
    }

    /// The reserve of a pool of `size` bytes, in bytes.
    pub(crate) fn of(self, size: u64) -> u64 {
        // First divided: a size times a percentage may not fit.
        size.div_ceil(100).saturating_mul(self.0.into())
    }
}

impl Default for PoolReserve {
    /// Five percent, what btrfs wants free.
    fn default() -> Self {
        Self(5)
    }
}

/// A configuration that cannot be worked with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// No base path.
    #[error("at least one base path is needed, such as /raid10/csi")]
    NoBasePath,
    /// Sizes that exclude each other.
    #[error("volume sizes must be min <= default <= max, but are {min} <= {default} <= {max}")]
    Limits {
        /// Bytes.
        min: u64,
        /// Bytes.
        default: u64,
        /// Bytes.
        max: u64,
    },
}

impl Config {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Limits { min, max, default } = self.limits;
        if self.base_paths.is_empty() {
            return Err(ConfigError::NoBasePath);
        }
        if min > default || default > max {
            return Err(ConfigError::Limits { min, default, max });
        }
        Ok(())
    }

    /// The base path of a class, if images are made below it: deleting looks only below configured ones.
    ///
    /// # Errors
    /// The text of an INVALID_ARGUMENT.
    pub(crate) fn base_path(&self, parameters: &Parameters) -> Result<BasePath, String> {
        let wanted = parameters.volume_path.as_ref().or(self.base_paths.first());
        let known = self.base_paths.iter().find(|base| Some(*base) == wanted);
        known.cloned().ok_or_else(|| {
            let known: Vec<_> = self.base_paths.iter().map(BasePath::as_str).collect();
            format!(
                "StorageClass parameter \"volumePath\": {} is no base path of this controller; those are {}",
                wanted.map_or("", BasePath::as_str),
                known.join(", ")
            )
        })
    }
}
