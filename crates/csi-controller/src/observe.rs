//! What the device says of a volume.

use attachment::{Export, Observed};
use routeros::{DiskRow, Transport, normalised_path};
use tokio::time::Instant;
use tonic::Status;
use volume::{BasePath, ClusterHash, Generation, Published, Record, RecordError, Slot};

use crate::device_error;
use crate::{Config, Controller};

/// What was read under a slot.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// The device answered that there is no such disk.
    Nothing,
    /// A volume of this cluster.
    Ours(Box<Volume>),
    /// A disk that must not be touched.
    NotOurs(NotOurs),
}

/// A volume of this cluster.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    /// Its name.
    pub(crate) slot: Slot,
    /// Its row.
    pub(crate) row: DiskRow,
    /// Its record.
    pub(crate) record: Record,
}

/// Why a disk is not touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotOurs {
    /// It has no record.
    Unmarked,
    /// Another cluster's record.
    OtherCluster(ClusterHash),
    /// A record that cannot be used, and the generation under which the disk is exported.
    Unreadable(RecordError, Option<Generation>),
    /// A record on something that is not a file.
    NotAFile(String),
}

impl<T: Transport> Controller<T> {
    /// Reads what is in a slot: one request.
    pub(crate) async fn find(&self, slot: &Slot, deadline: Instant) -> Result<Found, Status> {
        let sending = self.writes.sending();
        let read = self.client.until(deadline).disk_by_slot(slot.as_str()).await;
        let row = read.map_err(|error| device_error::status(&format!("reading volume {slot}"), &error))?;
        self.writes.was_read(slot, row.as_ref(), sending);
        let found = classify(slot, row, &self.config);
        if found.has_no_holder() && self.writes.doubtful_until(slot).is_none() {
            // What was minted has ended, or never came and never will: it is not sent a second time.
            self.writes.minted(slot);
        }
        Ok(found)
    }

    /// Reads a volume that has to be there.
    ///
    /// # Errors
    /// NOT_FOUND if the device answered that there is none, FAILED_PRECONDITION if it must not be touched.
    pub(crate) async fn find_ours(&self, slot: &Slot, deadline: Instant) -> Result<Volume, Status> {
        match self.find(slot, deadline).await? {
            Found::Nothing => Err(Status::not_found(format!("there is no volume {slot} on the device"))),
            Found::Ours(volume) => Ok(*volume),
            Found::NotOurs(why) => Err(why.status(slot, self.config.cluster_id.hash())),
        }
    }
}

pub(crate) fn classify(slot: &Slot, row: Option<DiskRow>, config: &Config) -> Found {
    let Some(row) = row else { return Found::Nothing };
    match Record::parse(row.comment.as_deref().unwrap_or_default()) {
        Ok(None) => Found::NotOurs(NotOurs::Unmarked),
        Err(error) => Found::NotOurs(NotOurs::Unreadable(error, exported(slot, &row, config))),
        Ok(Some(record)) if record.cluster != config.cluster_id.hash() => {
            Found::NotOurs(NotOurs::OtherCluster(record.cluster))
        }
        Ok(Some(_)) if row.disk_type != "file" => Found::NotOurs(NotOurs::NotAFile(row.disk_type)),
        Ok(Some(record)) => Found::Ours(Box::new(Volume { slot: slot.clone(), row, record })),
    }
}

fn exported(slot: &Slot, row: &DiskRow, config: &Config) -> Option<Generation> {
    let nqn = row.nvme_tcp_server_nqn.as_deref().filter(|_| row.nvme_tcp_export)?;
    let (named, generation) = config.nqn_prefix.slot_of(nqn)?;
    generation.filter(|_| named == *slot)
}

impl Found {
    fn has_no_holder(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Ours(volume) => volume.record.holders.is_empty(),
            Self::NotOurs(_) => false,
        }
    }
}

impl Volume {
    /// What the attachment rules look at.
    pub(crate) fn observed(&self) -> Observed {
        Observed { record: self.record.clone(), export: export(&self.row) }
    }

    /// The same, where nothing else is kept.
    pub(crate) fn into_observed(self) -> Observed {
        Observed { export: export(&self.row), record: self.record }
    }

    /// Its size in bytes, as it was asked for.
    pub(crate) fn capacity(&self) -> Option<u64> {
        self.row.file_size.or(self.row.size)
    }

    /// Whether its image lies where this driver puts it below `base`.
    pub(crate) fn lies_below(&self, base: &BasePath) -> bool {
        let image = base.image(&self.slot);
        self.row.file_path.as_deref().is_some_and(|path| normalised_path(path) == normalised_path(&image))
    }
}

fn export(row: &DiskRow) -> Option<Export> {
    let split = |list: &str| list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    row.nvme_tcp_export.then(|| Export {
        nqn: row.nvme_tcp_server_nqn.as_deref().unwrap_or_default().to_owned(),
        allow: row.nvme_tcp_server_allow_host_name.as_deref().map(split).unwrap_or_default(),
    })
}

impl NotOurs {
    /// FAILED_PRECONDITION: what is there, and what to do.
    pub(crate) fn status(&self, slot: &Slot, cluster: ClusterHash) -> Status {
        Status::failed_precondition(self.message(slot, cluster))
    }

    /// What is there, and what to do.
    pub(crate) fn message(&self, slot: &Slot, cluster: ClusterHash) -> String {
        match self {
            Self::Unmarked => format!(
                "disk {slot} carries no record of this driver, so it is not touched; adopt it or choose another volume"
            ),
            Self::OtherCluster(other) => {
                format!("disk {slot} belongs to cluster {other}, not to this one ({cluster})")
            }
            Self::NotAFile(kind) => format!("disk {slot} is of type {kind}, not file: it is not touched"),
            Self::Unreadable(error @ RecordError::OtherVersion(_), _) => {
                format!("disk {slot}: {error}; use the version of this driver that wrote it")
            }
            Self::Unreadable(error, exported) => format!(
                "disk {slot}: {error}; once no node has it connected, repair it on the device with: {}",
                repair(slot, cluster, *exported)
            ),
        }
    }
}

/// The line that makes a damaged volume a detached one: waited for, and never formatted, since nobody knows any
/// more what it held. It closes what is exported: that is the generation that ended last, whatever came before it.
fn repair(slot: &Slot, cluster: ClusterHash, exported: Option<Generation>) -> String {
    let published = Published { filesystem: false, block: true };
    let record = Record { unproven: true, published, ended: exported, ..Record::new(cluster) };
    format!("/disk set [find slot=\"{slot}\"] nvme-tcp-export=no comment=\"{record}\"")
}
