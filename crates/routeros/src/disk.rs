//! `/disk`: the row as read.

pub(crate) mod change;
pub(crate) mod compare;
pub(crate) mod figures;

use crate::error::Error;
use crate::identifier::ItemId;
use crate::row::Row;

/// What is asked of `/disk` in every list: the properties of [`DiskRow`] and no more, since a row of a hardware
/// disk has about a hundred.
pub const DISK_PROPERTIES: &[&str] = &[
    ".id",
    "slot",
    "type",
    "parent",
    "disabled",
    "comment",
    "file-path",
    "file-size",
    "size",
    "free",
    "fs",
    "fs-label",
    "mounted",
    "mount-point",
    "mount-filesystem",
    "state",
    "nvme-tcp-export",
    "nvme-tcp-server-port",
    "nvme-tcp-server-nqn",
    "nvme-tcp-server-allow-host-name",
    "smb-sharing",
    "nfs-sharing",
    "media-sharing",
    "iscsi-export",
];

/// A row of `/disk`. A text that RouterOS shows as empty, or does not show, is `None`; a flag that it does not
/// show is `false`, except where the device's default is otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskRow {
    /// Stable for the life of the row.
    pub id: ItemId,
    /// The name of the disk; reused once the row is gone.
    pub slot: String,
    /// `file`, `raid`, `hardware`, `partition`, … (property `type`).
    pub disk_type: String,
    /// The slot of what this lies on, such as a partition's disk.
    pub parent: Option<Box<str>>,
    /// Whether the row is switched off.
    pub disabled: bool,
    /// The operator's text, or a record.
    pub comment: Option<Box<str>>,
    /// The backing file, with a leading slash, as the device normalises it.
    pub file_path: Option<Box<str>>,
    /// The backing file's size in bytes.
    pub file_size: Option<u64>,
    /// The block device's size in bytes.
    pub size: Option<u64>,
    /// Free bytes of the file system on it.
    pub free: Option<u64>,
    /// The file system on it; `None` also for RouterOS's `-`.
    pub fs: Option<Box<str>>,
    /// The file system's label, by which `/disk/btrfs` names it.
    pub fs_label: Option<Box<str>>,
    /// Whether RouterOS has it mounted.
    pub mounted: bool,
    /// Where RouterOS has it mounted, without a leading slash.
    pub mount_point: Option<Box<str>>,
    /// Whether RouterOS mounts a file system that it finds on it. The device's default is yes, so that an absent
    /// value is not `false` but unknown.
    pub mount_filesystem: Option<bool>,
    /// A RAID's state, such as `clean`.
    pub state: Option<Box<str>>,
    /// Whether it is exported over NVMe/TCP. While it is not, the device does not show the other
    /// `nvme-tcp-server-*` properties (routeros.md §1.7).
    pub nvme_tcp_export: bool,
    /// The TCP port of the export.
    pub nvme_tcp_server_port: Option<u16>,
    /// The NQN of the export (RouterOS 7.21).
    pub nvme_tcp_server_nqn: Option<Box<str>>,
    /// The host NQNs that may connect; `None` is anyone.
    pub nvme_tcp_server_allow_host_name: Option<Box<str>>,
    /// Whether RouterOS shares it over SMB.
    pub smb_sharing: bool,
    /// Whether RouterOS shares it over NFS.
    pub nfs_sharing: bool,
    /// Whether RouterOS shares it as a media server.
    pub media_sharing: bool,
    /// Whether it is exported over iSCSI.
    pub iscsi_export: bool,
}

impl TryFrom<&Row> for DiskRow {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self, Error> {
        let set = |name: &str| row.flag(name).map(Option::unwrap_or_default);
        Ok(Self {
            id: row.id()?,
            slot: row.required("slot")?.to_owned(),
            disk_type: row.required("type")?.to_owned(),
            parent: row.text("parent").filter(|parent| &**parent != "none"),
            disabled: set("disabled")?,
            comment: row.text("comment"),
            file_path: row.text("file-path"),
            file_size: row.number("file-size")?,
            size: row.number("size")?,
            free: row.number("free")?,
            fs: row.text("fs").filter(|fs| &**fs != "-"),
            fs_label: row.text("fs-label"),
            mounted: set("mounted")?,
            mount_point: row.text("mount-point"),
            mount_filesystem: row.flag("mount-filesystem")?,
            state: row.text("state"),
            nvme_tcp_export: set("nvme-tcp-export")?,
            nvme_tcp_server_port: row.number("nvme-tcp-server-port")?,
            nvme_tcp_server_nqn: row.text("nvme-tcp-server-nqn"),
            nvme_tcp_server_allow_host_name: row.text("nvme-tcp-server-allow-host-name"),
            smb_sharing: set("smb-sharing")?,
            nfs_sharing: set("nfs-sharing")?,
            media_sharing: set("media-sharing")?,
            iscsi_export: set("iscsi-export")?,
        })
    }
}

#[cfg(test)]
mod tests;
