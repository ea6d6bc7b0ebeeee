//! One row of `/disk`.

pub mod argument;
pub mod plan;
pub mod property;
pub mod traffic;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::assumptions::{Assumptions, DefaultNqn};
use crate::plane::{Export, NamespaceIdentity};

/// The port of NVMe/TCP where none is set (S, RouterOS manual).
pub const DEFAULT_PORT: u16 = 4420;

/// `type` of a disk (S [CLI]; there are no others).
pub const TYPES: &[&str] = &[
    "raid",
    "nvme-tcp",
    "iscsi",
    "nfs",
    "smb",
    "partition",
    "tmpfs",
    "ramdisk",
    "crypted",
    "sshfs",
    "file",
    "hardware",
];

/// A disk as configured, and what is served of it right now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Disk {
    /// Printed as `*2B`.
    pub id: u32,
    /// One of [`TYPES`].
    pub kind: String,
    /// The name.
    pub slot: String,
    /// Absent where never set.
    pub comment: Option<String>,
    /// Served and mounted only while false.
    pub disabled: bool,
    /// Where the image is, without a leading slash: as `/file` names it. Empty for other types.
    pub file_path: String,
    /// Bytes of the image.
    pub file_size: u64,
    /// Bytes before the device's first.
    pub file_offset: u64,
    /// Whether RouterOS mounts what it finds on the disk; its default is yes.
    pub mount_filesystem: bool,
    /// Mounted read-only.
    pub mount_read_only: bool,
    /// Whether it swaps on this disk.
    pub swap: bool,
    /// NFS sharing.
    pub nfs_sharing: bool,
    /// SMB sharing.
    pub smb_sharing: bool,
    /// Media sharing.
    pub media_sharing: bool,
    /// iSCSI export; shown, not served.
    pub iscsi_export: bool,
    /// The NVMe/TCP target settings.
    pub nvme: NvmeTarget,
    /// The file system of a pool.
    pub pool: Option<Pool>,
    /// UUID and serial of the namespace.
    pub identity: NamespaceIdentity,
    /// Arguments that are kept and shown as they were set.
    pub other: BTreeMap<String, String>,
    /// What hosts see; differs from the settings where the device applies them later. Not configuration.
    #[serde(skip)]
    pub live: Option<Export>,
}

/// The `nvme-tcp-server-*` properties.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NvmeTarget {
    /// `nvme-tcp-export`
    pub export: bool,
    /// `nvme-tcp-server-port`
    pub port: Option<u16>,
    /// `nvme-tcp-server-nqn`
    pub nqn: Option<String>,
    /// `nvme-tcp-server-allow-host-name`, as sent.
    pub allow_host_name: String,
    /// `nvme-tcp-server-password`
    pub password: Option<String>,
}

/// A mounted file system that images live on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pool {
    /// `xfs` or `btrfs`
    pub fs: String,
    /// Bytes.
    pub size: u64,
}

impl Disk {
    /// A disk with the device's defaults.
    pub fn new(id: u32, kind: &str) -> Self {
        Self {
            id,
            kind: kind.to_owned(),
            slot: String::new(),
            comment: None,
            disabled: false,
            file_path: String::new(),
            file_size: 0,
            file_offset: 0,
            mount_filesystem: true,
            mount_read_only: false,
            swap: false,
            nfs_sharing: false,
            smb_sharing: false,
            media_sharing: false,
            iscsi_export: false,
            nvme: NvmeTarget::default(),
            pool: None,
            identity: NamespaceIdentity::fresh(),
            other: BTreeMap::new(),
            live: None,
        }
    }

    /// A mounted pool; `kind` is `raid` or `hardware`.
    pub fn pool(id: u32, kind: &str, slot: &str, pool: Pool) -> Self {
        Self { slot: slot.to_owned(), pool: Some(pool), ..Self::new(id, kind) }
    }

    /// `*2B`
    pub fn number(&self) -> String {
        format!("*{:X}", self.id)
    }

    /// Bytes that a host sees.
    pub fn size(&self) -> u64 {
        self.pool.as_ref().map_or(self.file_size.saturating_sub(self.file_offset), |pool| pool.size)
    }

    /// Whether hosts are meant to be served.
    pub fn wants_export(&self) -> bool {
        self.nvme.export && !self.disabled
    }

    /// What the settings ask to be served.
    pub fn export(&self, assumptions: &Assumptions) -> Export {
        Export {
            disk: self.number(),
            nqn: self.nqn(assumptions),
            port: self.nvme.port.unwrap_or(DEFAULT_PORT),
            hosts: assumptions.allow_list.hosts(&self.nvme.allow_host_name),
            image: self.file_path.clone(),
            offset: self.file_offset,
            size: self.size(),
            identity: self.identity.clone(),
            discard: assumptions.discard == crate::assumptions::Discard::PunchesHoles,
        }
    }

    /// The NQN set, or the one that the device makes up.
    pub fn nqn(&self, assumptions: &Assumptions) -> String {
        match (&self.nvme.nqn, assumptions.default_nqn) {
            (Some(nqn), _) => nqn.clone(),
            (None, DefaultNqn::Prefixed) => format!("nqn.2000-02.com.mikrotik:{}", self.slot),
            (None, DefaultNqn::Slot) => self.slot.clone(),
        }
    }

    /// The slot of a disk that was given none: `file-disk1-swap` for `/disk1/swap` (S [TF]).
    pub fn default_slot(&self) -> String {
        match self.kind.as_str() {
            "file" => format!("file-{}", self.file_path.replace('/', "-")),
            kind => format!("{kind}{}", self.id),
        }
    }
}

impl NamespaceIdentity {
    /// A random pair; 20 characters is what NVMe gives a serial.
    pub fn fresh() -> Self {
        let uuid = Uuid::new_v4();
        let serial = uuid.simple().to_string().chars().take(20).collect();
        Self { uuid, serial }
    }
}
