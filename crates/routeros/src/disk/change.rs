//! What can be written to `/disk`: a new file-backed disk, or a change of one.

use crate::error::{Error, ErrorKind};
use crate::identifier::{check_allow_host_name, check_comment, check_nqn, check_path, check_slot};
use crate::transport::Properties;

/// An NVMe/TCP export: always with NQN and port, since the device's defaults for them are not documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvmeTcpExport {
    /// The subsystem's NQN.
    pub nqn: String,
    /// The TCP port.
    pub port: u16,
    /// Host NQNs joined by commas; empty for anyone.
    pub allow_host_name: String,
}

/// A new disk backed by a file, with every property explicit whose default would be dangerous: RouterOS mounts
/// file systems that it finds, and may share new disks by itself (routeros.md §1.5, §1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDisk {
    /// Its name.
    pub slot: String,
    /// The backing file's path. What happens to an existing file is not known: look first.
    pub file_path: String,
    /// Its size in bytes.
    pub file_size: u64,
    /// Its comment; empty for none.
    pub comment: String,
    /// Exported at once, or not at all.
    pub export: Option<NvmeTcpExport>,
}

impl NewDisk {
    /// The properties to send.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a value that may not be sent.
    pub fn properties(&self) -> Result<Properties, Error> {
        check_slot(&self.slot)?;
        let mut properties = vec![("type", "file".to_owned()), ("slot", self.slot.clone())];
        properties.push(("file-path", self.checked_path()?));
        let change = DiskChange {
            file_size: Some(self.file_size),
            comment: (!self.comment.is_empty()).then(|| self.comment.clone()),
            mount_filesystem: Some(false),
            smb_sharing: Some(false),
            nfs_sharing: Some(false),
            media_sharing: Some(false),
            ..DiskChange::export(self.export.clone())
        };
        properties.extend(change.properties()?);
        Ok(properties)
    }

    fn checked_path(&self) -> Result<String, Error> {
        check_path(&self.file_path)?;
        Ok(self.file_path.clone())
    }
}

/// A change of some properties of a disk; `None` leaves a property alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskChange {
    /// Exported over NVMe/TCP or not.
    pub nvme_tcp_export: Option<bool>,
    /// The export's NQN.
    pub nvme_tcp_server_nqn: Option<String>,
    /// The export's port.
    pub nvme_tcp_server_port: Option<u16>,
    /// Host NQNs joined by commas; empty for anyone.
    pub nvme_tcp_server_allow_host_name: Option<String>,
    /// The new comment; empty for none.
    pub comment: Option<String>,
    /// The new size of the backing file in bytes. Never smaller: what shrinking does is not known.
    pub file_size: Option<u64>,
    /// Whether RouterOS mounts a file system that it finds.
    pub mount_filesystem: Option<bool>,
    /// Whether RouterOS shares it over SMB.
    pub smb_sharing: Option<bool>,
    /// Whether RouterOS shares it over NFS.
    pub nfs_sharing: Option<bool>,
    /// Whether RouterOS shares it as a media server.
    pub media_sharing: Option<bool>,
}

impl DiskChange {
    /// A change of the export alone: opened as given, or closed.
    #[must_use]
    pub fn export(export: Option<NvmeTcpExport>) -> Self {
        let Some(NvmeTcpExport { nqn, port, allow_host_name }) = export else {
            return Self { nvme_tcp_export: Some(false), ..Self::default() };
        };
        Self {
            nvme_tcp_export: Some(true),
            nvme_tcp_server_nqn: Some(nqn),
            nvme_tcp_server_port: Some(port),
            nvme_tcp_server_allow_host_name: Some(allow_host_name),
            ..Self::default()
        }
    }

    /// The properties to send. Booleans are `true` and `false`, the form seen to work on a device.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a value that may not be sent, or if nothing would be.
    pub fn properties(&self) -> Result<Properties, Error> {
        self.check()?;
        let all = [
            ("file-size", self.file_size.map(|size| size.to_string())),
            ("comment", self.comment.clone()),
            ("mount-filesystem", flag(self.mount_filesystem)),
            ("smb-sharing", flag(self.smb_sharing)),
            ("nfs-sharing", flag(self.nfs_sharing)),
            ("media-sharing", flag(self.media_sharing)),
            ("nvme-tcp-export", flag(self.nvme_tcp_export)),
            ("nvme-tcp-server-port", self.nvme_tcp_server_port.map(|port| port.to_string())),
            ("nvme-tcp-server-nqn", self.nvme_tcp_server_nqn.clone()),
            ("nvme-tcp-server-allow-host-name", self.nvme_tcp_server_allow_host_name.clone()),
        ];
        let properties: Properties =
            all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        if properties.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "a change of a disk that changes nothing"));
        }
        Ok(properties)
    }

    fn check(&self) -> Result<(), Error> {
        self.nvme_tcp_server_nqn.as_deref().map_or(Ok(()), check_nqn)?;
        self.nvme_tcp_server_allow_host_name.as_deref().map_or(Ok(()), check_allow_host_name)?;
        self.comment.as_deref().map_or(Ok(()), check_comment)?;
        if self.file_size == Some(0) {
            return Err(Error::new(ErrorKind::InvalidInput, "a disk of size 0"));
        }
        Ok(())
    }
}

fn flag(value: Option<bool>) -> Option<String> {
    value.map(|value| value.to_string())
}
