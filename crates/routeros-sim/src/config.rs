//! What a simulated device is made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::assumptions::Assumptions;
use crate::device::RosePackage;
use crate::plane::DataPlane;
use crate::version::Version;

/// The longest that a REST command may take (S, REST manual).
pub const SESSION_CAP: Duration = Duration::from_secs(60);

/// A pool that images live on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Slot and mount point.
    pub slot: String,
    /// `raid` or `hardware`
    pub kind: String,
    /// `xfs` or `btrfs`
    pub fs: String,
    /// Bytes.
    pub size: u64,
}

impl PoolConfig {
    /// An xfs on a RAID, as the lab of the captures has it.
    pub fn raid(slot: &str, size: u64) -> Self {
        Self { slot: slot.to_owned(), kind: "raid".to_owned(), fs: "xfs".to_owned(), size }
    }
}

/// A login to begin with.
#[derive(Clone)]
pub struct UserConfig {
    /// Login name.
    pub name: String,
    /// Password.
    pub password: String,
    /// Policies, comma-separated, or the name of a group: `full`, `write`, `read`.
    pub policies: String,
}

/// A device to simulate.
#[derive(Clone)]
pub struct Config {
    /// RouterOS version.
    pub version: Version,
    /// The rose-storage package.
    pub rose: RosePackage,
    /// Pools; an existing state keeps its own and gets those that it lacks.
    pub pools: Vec<PoolConfig>,
    /// Users; those of an existing state get these passwords and policies.
    pub users: Vec<UserConfig>,
    /// Directories to make on the pools, as `/file` names them.
    pub directories: Vec<String>,
    /// Answers to open questions.
    pub assumptions: Assumptions,
    /// Where state and images are kept; in memory when `None`.
    pub state: Option<PathBuf>,
    /// What serves hosts; recorded only when `None`.
    pub plane: Option<Arc<dyn DataPlane>>,
    /// Time that the device takes over each request, before its effect.
    pub latency: Duration,
    /// Whether REST is served without TLS too (`/ip/service/webserver rest-plain`).
    pub rest_plain: bool,
    /// The longest that a command may take.
    pub session_cap: Duration,
}

/// Room of the pool of [`Config::default`], in bytes: 100 GiB.
const DEFAULT_POOL: u64 = 100 << 30;

impl Config {
    /// Where a state directory has the files of its pools.
    pub fn images_of(state: &Path) -> PathBuf {
        state.join("pools")
    }
}

impl Default for Config {
    /// A 7.24 device in memory with one pool `raid10` of 100 GiB and the user `admin`, password `admin`.
    fn default() -> Self {
        let policies = "full".to_owned();
        Self {
            version: Version::LATEST,
            rose: RosePackage::Enabled,
            pools: vec![PoolConfig::raid("raid10", DEFAULT_POOL)],
            users: vec![UserConfig { name: "admin".into(), password: "admin".into(), policies }],
            directories: Vec::new(),
            assumptions: Assumptions::default(),
            state: None,
            plane: None,
            latency: Duration::ZERO,
            rest_plain: true,
            session_cap: SESSION_CAP,
        }
    }
}
