//! What can go wrong on a node.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The result of a node operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure it was: what the caller may conclude from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The deadline passed; the helper goes on, and the effect may yet happen. Joined by a retry.
    Abandoned,
    /// Another operation of the same volume is still in its helper.
    Pending,
    /// The kernel or a tool refused, with this errno where there is one. Nothing is known to have
    /// been changed beyond what the operation's documentation says.
    Refused(Option<i32>),
    /// syncfs or fsync itself failed: something that was written before is lost. Never said of a sync that
    /// did not run.
    Unwritten,
    /// What was asked for is not there.
    Missing,
    /// It is there and in use by somebody else (EBUSY).
    Busy,
    /// What was read cannot be understood.
    Malformed,
}

/// A failed node operation: what was tried, on what, and what came of it, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// What the caller may conclude.
    pub kind: ErrorKind,
    /// One line for people.
    pub message: String,
}

impl Error {
    /// A failure of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// An I/O error of `operation` on `path`, by its errno.
    #[must_use]
    pub fn io(operation: &str, path: &Path, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::Missing,
            std::io::ErrorKind::ResourceBusy => ErrorKind::Busy,
            _ => ErrorKind::Refused(error.raw_os_error()),
        };
        Self::new(kind, format!("{operation} {}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
