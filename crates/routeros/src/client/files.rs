//! `/file`.

use super::Client;
use crate::error::{Error, ErrorKind};
use crate::file::{FILE_PROPERTIES, FileRow, normalised_path};
use crate::identifier::{ItemId, check_path};
use crate::transport::{Menu, Transport};

impl<T: Transport> Client<T> {
    /// The file at a path; `None` is an answer of the device, never a failure to read.
    ///
    /// # Errors
    /// Besides the request's: [`ErrorKind::InvalidInput`] for a path that may not be sent.
    pub async fn file_by_name(&self, path: &str) -> Result<Option<FileRow>, Error> {
        check_path(path)?;
        // `/file` shows names without a leading slash (routeros.md §2), and a filter compares exactly.
        let name = normalised_path(path);
        let rows = self.print(Menu::FILE, &[("name", name)], FILE_PROPERTIES, self.deadline()).await?;
        match rows.as_slice() {
            [] => Ok(None),
            [row] => FileRow::try_from(row).map(Some),
            _ => Err(Error::new(ErrorKind::Malformed, format!("several files are named {name:?}"))),
        }
    }

    /// Removes a file. One that is gone already is a success.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] with the device's words.
    pub async fn remove_file(&self, id: &ItemId) -> Result<(), Error> {
        self.remove(Menu::FILE, id).await
    }
}
