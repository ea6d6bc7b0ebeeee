//! What became of a write whose outcome is unknown.

use super::Client;
use crate::disk::DiskRow;
use crate::disk::change::{DiskChange, NewDisk};
use crate::disk::compare::first_difference;
use crate::error::Error;
use crate::identifier::ItemId;
use crate::row::Row;
use crate::transport::Transport;

/// A write to `/disk` that failed with [`crate::Outcome::Unknown`].
#[derive(Clone, Copy, Debug)]
pub enum Write<'a> {
    /// [`Client::add_disk`]
    Add(&'a NewDisk),
    /// [`Client::set_disk`]
    Set {
        /// Which disk.
        id: &'a ItemId,
        /// What was to change.
        change: &'a DiskChange,
    },
    /// [`Client::remove_disk`]
    Remove {
        /// Which disk.
        id: &'a ItemId,
    },
}

/// What a read after the write showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The effect is there: the row as asked for, or no row after a removal.
    Happened(Option<Box<DiskRow>>),
    /// The effect is not there; the row is as it is, if there is one. It may still come until a barrier or
    /// [`crate::REQUEST_CAP`] after the write, unless this very read was a barrier (`order=fifo`).
    NotSeen(Option<Box<DiskRow>>),
}

impl<T: Transport> Client<T> {
    /// Reads what became of a write.
    ///
    /// # Errors
    /// The read's: then it is as unknown as before.
    pub async fn resolve(&self, write: Write<'_>) -> Result<Resolution, Error> {
        let deadline = self.deadline();
        let (row, wanted) = match write {
            Write::Add(disk) => (self.row_by_slot(&disk.slot, deadline).await?, Some(disk.properties()?)),
            Write::Set { id, change } => (self.row_by_id(id, deadline).await?, Some(change.properties()?)),
            Write::Remove { id } => (self.row_by_id(id, deadline).await?, None),
        };
        let happened = match (&row, &wanted) {
            (Some(row), Some(sent)) => first_difference(sent, row).is_none(),
            (None, None) => true,
            _ => false,
        };
        let disk = row.as_ref().map(parsed).transpose()?;
        Ok(if happened { Resolution::Happened(disk) } else { Resolution::NotSeen(disk) })
    }
}

fn parsed(row: &Row) -> Result<Box<DiskRow>, Error> {
    DiskRow::try_from(row).map(Box::new)
}
