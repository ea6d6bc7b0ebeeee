//! `/disk`: reads, and writes by `.id` that are compared with what came of them.

use tokio::time::Instant;

use super::Client;
use crate::disk::change::{DiskChange, NewDisk};
use crate::disk::compare::{first_difference, require_as_sent};
use crate::disk::{DISK_PROPERTIES, DiskRow};
use crate::error::{Error, ErrorKind, Outcome};
use crate::file::normalised_path;
use crate::identifier::ItemId;
use crate::row::Row;
use crate::transport::{Call, Menu, Transport};

type Sent<'a> = &'a [(&'static str, String)];

impl<T: Transport> Client<T> {
    /// The disk in a slot; `None` is an answer of the device, never a failure to read.
    ///
    /// # Errors
    /// Besides the request's: [`ErrorKind::Malformed`] for a row that cannot be read, or if two have the slot.
    pub async fn disk_by_slot(&self, slot: &str) -> Result<Option<DiskRow>, Error> {
        only(self.disks_where("slot", slot, self.deadline()).await?, "slot", slot)
    }

    /// The disk with an id.
    ///
    /// # Errors
    /// As [`Client::disk_by_slot`].
    pub async fn disk_by_id(&self, id: &ItemId) -> Result<Option<DiskRow>, Error> {
        self.row_by_id(id, self.deadline()).await?.as_ref().map(DiskRow::try_from).transpose()
    }

    /// The disk whose file system RouterOS has mounted at a path, such as `raid10`: the pool under `/raid10/…`.
    ///
    /// # Errors
    /// As [`Client::disk_by_slot`].
    pub async fn disk_by_mount_point(&self, path: &str) -> Result<Option<DiskRow>, Error> {
        let path = normalised_path(path);
        only(self.disks_where("mount-point", path, self.deadline()).await?, "mount-point", path)
    }

    /// The disks backed by a file, however the path's leading slash is written: two requests, since a filter
    /// compares exactly and a row that is overlooked would make its file look unused.
    ///
    /// # Errors
    /// As [`Client::disk_by_slot`].
    pub async fn disks_by_file_path(&self, path: &str) -> Result<Vec<DiskRow>, Error> {
        let deadline = self.deadline();
        let bare = normalised_path(path);
        let mut disks = self.disks_where("file-path", &format!("/{bare}"), deadline).await?;
        disks.extend(self.disks_where("file-path", bare, deadline).await?);
        Ok(disks)
    }

    /// Gives every disk to `each` as it arrives; only one is held at a time. An error of `each` ends the list.
    ///
    /// # Errors
    /// The request's, or what `each` returned. A row that cannot be read ends the list too: it is not absent.
    pub async fn for_each_disk<F>(&self, mut each: F) -> Result<(), Error>
    where
        F: FnMut(DiskRow) -> Result<(), Error> + Send,
    {
        let call = Call::Print { menu: Menu::DISK, query: &[], proplist: DISK_PROPERTIES };
        let mut sink = |row: Row| each(DiskRow::try_from(&row)?);
        self.transport.print_each(call, self.deadline(), &mut sink).await
    }

    /// All disks. For a device with thousands rather [`Client::for_each_disk`].
    ///
    /// # Errors
    /// As [`Client::for_each_disk`].
    pub async fn disks(&self) -> Result<Vec<DiskRow>, Error> {
        let mut disks = Vec::new();
        self.for_each_disk(|disk| {
            disks.push(disk);
            Ok(())
        })
        .await?;
        Ok(disks)
    }

    /// Adds a disk and returns its row, which shows everything as sent; `file_size` may be larger than asked for
    /// (assumption `file-size`).
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] or [`ErrorKind::Refused`] with the device's words; [`ErrorKind::Mismatch`]
    /// with [`Outcome::Applied`] if the row is not as asked for.
    pub async fn add_disk(&self, disk: &NewDisk) -> Result<DiskRow, Error> {
        let deadline = self.deadline();
        let sent = disk.properties()?;
        let reply = self.call(Call::Add { menu: Menu::DISK, properties: &sent }, deadline).await?;
        let whole = reply.at_most_one().map_err(unclear)?.filter(|row| row.get("slot").is_some());
        let row = match whole {
            Some(row) => row,
            None => self.added_row(&disk.slot, deadline).await.map_err(unclear)?,
        };
        as_written(&row, &sent)
    }

    /// Changes a disk and returns its row, which shows everything as sent.
    ///
    /// A refusal without a reason is followed by a read and, if the disk is there unchanged, by the console's
    /// form of the same change, for its text.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Refused`] with the device's words; [`ErrorKind::Mismatch`] if the
    /// row has another slot than `expected_slot`, or is not as sent.
    pub async fn set_disk(
        &self,
        id: &ItemId,
        expected_slot: &str,
        change: &DiskChange,
    ) -> Result<DiskRow, Error> {
        let deadline = self.deadline();
        let sent = change.properties()?;
        let row = match self.call(Call::Set { menu: Menu::DISK, id, properties: &sent }, deadline).await {
            Ok(reply) => {
                match reply.at_most_one().map_err(unclear)?.filter(|row| row.get("slot").is_some()) {
                    Some(row) => row,
                    None => self.present_row(id, deadline).await.map_err(unclear)?,
                }
            }
            Err(refused) if refused.hides_its_reason() => {
                self.set_by_command(id, expected_slot, &sent, deadline).await?
            }
            Err(error) => return Err(error),
        };
        require_identity(&row, id, expected_slot).map_err(|error| error.with_outcome(Outcome::Applied))?;
        as_written(&row, &sent)
    }

    /// Removes a disk's row; its file stays (routeros.md §1.6). One that is gone already is a success.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] with the device's words.
    pub async fn remove_disk(&self, id: &ItemId) -> Result<(), Error> {
        self.remove(Menu::DISK, id).await
    }

    /// Removes a row of any menu; a refusal without a reason is asked again in the console's form.
    pub(super) async fn remove(&self, menu: Menu, id: &ItemId) -> Result<(), Error> {
        let deadline = self.deadline();
        let removed = match self.call(Call::Remove { menu, id }, deadline).await {
            Err(refused) if refused.hides_its_reason() => {
                if self.print(menu, &[(".id", id.as_str())], &[".id"], deadline).await?.is_empty() {
                    return Ok(());
                }
                let arguments = [(".id", id.to_string())];
                self.call(
                    Call::Command { menu, command: "remove", arguments: &arguments, reads_only: false },
                    deadline,
                )
                .await
            }
            answered => answered,
        };
        match removed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            answered => answered.map(drop),
        }
    }

    pub(super) async fn row_by_id(&self, id: &ItemId, deadline: Instant) -> Result<Option<Row>, Error> {
        let rows = self.print(Menu::DISK, &[(".id", id.as_str())], DISK_PROPERTIES, deadline).await?;
        only(rows, ".id", id.as_str())
    }

    pub(super) async fn row_by_slot(&self, slot: &str, deadline: Instant) -> Result<Option<Row>, Error> {
        let rows = self.print(Menu::DISK, &[("slot", slot)], DISK_PROPERTIES, deadline).await?;
        only(rows, "slot", slot)
    }

    async fn disks_where(&self, name: &str, value: &str, deadline: Instant) -> Result<Vec<DiskRow>, Error> {
        let rows = self.print(Menu::DISK, &[(name, value)], DISK_PROPERTIES, deadline).await?;
        rows.iter().map(DiskRow::try_from).collect()
    }

    async fn present_row(&self, id: &ItemId, deadline: Instant) -> Result<Row, Error> {
        self.row_by_id(id, deadline).await?.ok_or_else(|| gone(id))
    }

    async fn added_row(&self, slot: &str, deadline: Instant) -> Result<Row, Error> {
        let row = self.row_by_slot(slot, deadline).await?;
        row.ok_or_else(|| {
            Error::new(ErrorKind::Mismatch, format!("disk {slot:?} was added and is not there"))
        })
    }

    async fn set_by_command(
        &self,
        id: &ItemId,
        slot: &str,
        sent: Sent<'_>,
        deadline: Instant,
    ) -> Result<Row, Error> {
        let before = self.present_row(id, deadline).await?;
        require_identity(&before, id, slot)?;
        if first_difference(sent, &before).is_none() {
            return Ok(before);
        }
        let mut arguments = vec![(".id", id.to_string())];
        arguments.extend_from_slice(sent);
        let set =
            Call::Command { menu: Menu::DISK, command: "set", arguments: &arguments, reads_only: false };
        self.call(set, deadline).await?;
        self.present_row(id, deadline).await.map_err(unclear)
    }
}

fn as_written(row: &Row, sent: Sent<'_>) -> Result<DiskRow, Error> {
    require_as_sent(sent, row)?;
    DiskRow::try_from(row).map_err(|error| error.with_outcome(Outcome::Applied))
}

fn require_identity(row: &Row, id: &ItemId, slot: &str) -> Result<(), Error> {
    if row.get(".id") == Some(id.as_str()) && row.get("slot") == Some(slot) {
        return Ok(());
    }
    let (shown_id, shown_slot) = (row.get(".id"), row.get("slot"));
    let what =
        format!("disk {id} was to be slot {slot:?}, but the row is {shown_id:?} with slot {shown_slot:?}");
    Err(Error::new(ErrorKind::Mismatch, what))
}

fn only<R>(rows: Vec<R>, name: &str, value: &str) -> Result<Option<R>, Error> {
    let mut rows = rows.into_iter();
    match (rows.next(), rows.next()) {
        (row, None) => Ok(row),
        _ => Err(Error::new(
            ErrorKind::Malformed,
            format!("several disks have {name} {value:?}: remove all but one"),
        )),
    }
}

fn gone(id: &ItemId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no disk {id}"))
}

/// The device took a write, but what came of it could not be read.
fn unclear(error: Error) -> Error {
    error.with_outcome(Outcome::Unknown)
}
