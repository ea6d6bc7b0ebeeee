//! `/file`: what lies on the device's file systems.

use crate::error::Error;
use crate::identifier::ItemId;
use crate::row::Row;

/// What is asked of `/file`.
pub(crate) const FILE_PROPERTIES: &[&str] = &[".id", "name", "type", "size"];

/// A row of `/file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Stable for the life of the row.
    pub id: ItemId,
    /// The path without slashes around it, as [`normalised_path`] gives it.
    pub name: String,
    /// `file`, `directory`, `.img file`, `disk`, …
    pub file_type: Option<Box<str>>,
    /// Its size in bytes; directories have none.
    pub size: Option<u64>,
}

impl FileRow {
    /// Whether it is a directory or a mount point rather than a file.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self.file_type.as_deref(), Some("directory" | "disk"))
    }
}

impl TryFrom<&Row> for FileRow {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id()?,
            name: normalised_path(row.required("name")?).to_owned(),
            file_type: row.text("type"),
            size: row.number("size")?,
        })
    }
}

/// A path in the form in which paths compare: `/disk` shows them with a leading slash and `/file` without
/// (routeros.md §2).
#[must_use]
pub fn normalised_path(path: &str) -> &str {
    path.trim_matches('/')
}
