//! What one node's kernel remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;
use volume::{FsType, Slot};

use crate::op::Lane;
use crate::untold::Untold;

use super::effects::Effects;
use super::run::Helper;
use super::store::Dirty;

/// Which kernel: they differ where it hurts (node.md K2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelVersion {
    /// Goes on trying a target that refuses.
    V6_1,
    /// Removes a controller at the first refusal; refuses a host id under another host NQN.
    V6_12,
}

/// A mkfs that was asked for: what an invariant checker looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The volume's key at the target.
    pub volume: String,
    /// Which file system.
    pub fs: String,
    /// Whether there was a file system that it would have destroyed; it is refused then.
    pub over_filesystem: bool,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) version: KernelVersion,
    pub(super) link: bool,
    pub(super) local_drive: bool,
    pub(super) controllers: Vec<Controller>,
    pub(super) heads: Vec<Head>,
    pub(super) superblocks: Vec<Superblock>,
    pub(super) mounts: Vec<Mount>,
    pub(super) paths: BTreeMap<PathBuf, Entry>,
    pub(super) holds: BTreeMap<PathBuf, u32>,
    pub(super) helpers: BTreeMap<(Slot, Lane), Helper>,
    pub(super) effects: Effects,
    pub(super) failures: Vec<(String, i32)>,
    pub(super) hung: BTreeSet<String>,
    pub(super) complaints: BTreeSet<String>,
    pub(super) untold: Untold,
    pub(super) formats: Vec<Format>,
    /// Minors below this are taken by others, so that numbers differ from run to run.
    pub(super) first_minor: u32,
}

#[derive(Debug)]
pub(super) struct Controller {
    pub(super) index: u32,
    pub(super) nqn: String,
    pub(super) host_nqn: String,
    pub(super) host_id: String,
    pub(super) address: SocketAddr,
    pub(super) session: Option<u64>,
    pub(super) lost_at: Option<Instant>,
    pub(super) loss_timeout: Option<Duration>,
    pub(super) keep_alive: Duration,
}

/// A multipath head: the block device.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) minor: u32,
    pub(super) nqn: String,
    pub(super) uuid: Uuid,
    pub(super) volume: String,
    pub(super) bytes: u64,
    /// No longer in sysfs; here only because somebody holds it open.
    pub(super) gone: bool,
    pub(super) dirty: Dirty,
    /// Some of the dirty pages were already given to a path that holds them (node.md K3).
    pub(super) queued: bool,
    /// Dirty pages were dropped, and whether a sync has said so.
    pub(super) lost: bool,
    pub(super) told: bool,
}

#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) minor: u32,
    pub(super) fs: FsType,
    /// Copies of its mounts in other mount namespaces (node.md K6).
    pub(super) foreign: usize,
    /// Shut down after I/O errors: it takes nothing more, and only a sync tells (node.md K9).
    pub(super) dead: bool,
}

/// How mountinfo shows the root of a bind mount whose file was removed (Linux, `dentry_path`).
const REMOVED: &str = "//deleted";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A file system, by the minor of its device.
    Filesystem(u32),
    /// A device node of devtmpfs: number and name, whatever device has them now.
    DeviceNode(u32, String),
}

impl What {
    /// The device is gone, and devtmpfs has removed its node: the kernel shows that of what is bound.
    pub(super) fn outlive(&mut self, minor: u32) {
        match self {
            Self::DeviceNode(bound, name) if *bound == minor && !name.ends_with(REMOVED) => {
                name.push_str(REMOVED)
            }
            Self::DeviceNode(..) | Self::Filesystem(_) => {}
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Mount {
    pub(super) target: PathBuf,
    pub(super) what: What,
    pub(super) readonly: bool,
    pub(super) options: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Directory,
    EmptyFile,
    /// Something that the driver never made.
    Foreign,
}

impl Node {
    pub(super) fn new(name: &str, version: KernelVersion) -> Self {
        Self {
            name: name.to_owned(),
            version,
            link: true,
            local_drive: true,
            controllers: Vec::new(),
            heads: Vec::new(),
            superblocks: Vec::new(),
            mounts: Vec::new(),
            paths: BTreeMap::new(),
            holds: BTreeMap::new(),
            helpers: BTreeMap::new(),
            effects: Effects::new(),
            failures: Vec::new(),
            hung: BTreeSet::new(),
            complaints: BTreeSet::new(),
            untold: Untold::default(),
            formats: Vec::new(),
            first_minor: 1,
        }
    }
}
