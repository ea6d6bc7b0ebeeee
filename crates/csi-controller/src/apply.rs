//! Writes to a volume's row, with what is remembered of their outcome.

use attachment::{Change, ExportChange};
use routeros::{DiskChange, DiskRow, Error, ErrorKind, NvmeTcpExport, Outcome, Transport};
use tokio::time::Instant;

use crate::Controller;
use crate::observe::Volume;
use crate::writes::Sent;

impl<T: Transport> Controller<T> {
    /// Changes a volume's row; a row that came back otherwise than sent is an error, and so is a doubt.
    pub(crate) async fn set(
        &self,
        volume: &Volume,
        change: &DiskChange,
        deadline: Instant,
    ) -> Result<Volume, Error> {
        let slot = &volume.slot;
        let sending = self.writes.sending();
        match self.client.until(deadline).set_disk(&volume.row.id, slot.as_str(), change).await {
            Ok(row) => {
                let comment = row.comment.as_deref().unwrap_or_default();
                let record = volume::Record::parse(comment).ok().flatten().ok_or_else(|| {
                    let what = format!("disk {slot} came back without its record");
                    Error::new(ErrorKind::Mismatch, what).with_outcome(Outcome::Applied)
                })?;
                Ok(Volume { slot: slot.clone(), row, record })
            }
            Err(error) => {
                if error.outcome() == Outcome::Unknown {
                    self.writes.doubt(slot, sending, Sent::Set(change.clone()));
                }
                Err(self.refused_whole(volume, error, deadline).await)
            }
        }
    }

    /// A device may have taken some of several properties before it refused one (assumption `set-many`): then the
    /// write was applied, though not as told.
    async fn refused_whole(&self, volume: &Volume, error: Error, deadline: Instant) -> Error {
        let refused = matches!(error.kind(), ErrorKind::Refused | ErrorKind::AlreadyExists);
        if !refused || error.outcome() != Outcome::NotApplied {
            return error;
        }
        match self.client.until(deadline).disk_by_id(&volume.row.id).await {
            Ok(Some(row)) if settings(&row) != settings(&volume.row) => {
                let what = format!("{error}, and yet the device took a part of the change");
                Error::new(ErrorKind::Mismatch, what).with_outcome(Outcome::Applied)
            }
            Ok(_) => error,
            Err(unread) => unread.with_outcome(Outcome::Unknown),
        }
    }

    /// Writes a change of attachment; `port` is that of an export that is opened. A closed export starts the settle.
    pub(crate) async fn write(
        &self,
        volume: &Volume,
        change: &Change,
        port: u16,
        deadline: Instant,
    ) -> Result<Volume, Error> {
        let sent = disk_change(change, port)?;
        let closes = change.export == ExportChange::Close;
        if closes {
            // Whatever comes of it, the generation is over and never comes again, even one whose outcome was not
            // known; and its end is not one that was seen before.
            self.settle.forget(&volume.slot);
            self.writes.minted(&volume.slot);
        }
        let written = self.set(volume, &sent, deadline).await?;
        if closes {
            self.settle.unexported(&volume.slot);
        }
        Ok(written)
    }
}

/// What to send for a change.
fn disk_change(change: &Change, port: u16) -> Result<DiskChange, Error> {
    let too_long = |error: volume::RecordError| Error::new(ErrorKind::InvalidInput, error.to_string());
    let comment = change.record.to_comment().map_err(too_long)?;
    let export = match &change.export {
        ExportChange::Keep => DiskChange::default(),
        ExportChange::Close => DiskChange::export(None),
        ExportChange::Open { nqn, allow } => DiskChange::export(Some(NvmeTcpExport {
            nqn: nqn.to_string(),
            port,
            allow_host_name: allow.join(","),
        })),
        ExportChange::Allow(allow) => {
            DiskChange { nvme_tcp_server_allow_host_name: Some(allow.join(",")), ..DiskChange::default() }
        }
    };
    Ok(DiskChange { comment: Some(comment), ..export })
}

/// What a change can set, as a row shows it.
fn settings(row: &DiskRow) -> DiskChange {
    let text = |shown: &Option<Box<str>>| shown.as_deref().map(str::to_owned);
    DiskChange {
        nvme_tcp_export: Some(row.nvme_tcp_export),
        nvme_tcp_server_nqn: text(&row.nvme_tcp_server_nqn),
        nvme_tcp_server_port: row.nvme_tcp_server_port,
        nvme_tcp_server_allow_host_name: text(&row.nvme_tcp_server_allow_host_name),
        comment: text(&row.comment),
        file_size: row.file_size,
        mount_filesystem: row.mount_filesystem,
        smb_sharing: Some(row.smb_sharing),
        nfs_sharing: Some(row.nfs_sharing),
        media_sharing: Some(row.media_sharing),
    }
}
