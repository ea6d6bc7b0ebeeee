//! Where a process of a scenario keeps its files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A folder of its own, which goes with it, or one of somebody else's.
#[derive(Debug)]
pub(crate) enum Folder {
    Own(TempDir),
    Given(PathBuf),
}

impl Folder {
    /// A temporary one.
    pub(crate) fn own() -> Result<Self> {
        Ok(Self::Own(tempfile::tempdir().context("a folder in the temporary directory")?))
    }

    /// A new one at that path.
    pub(crate) fn make(path: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self::Given(path))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Given(path) => path,
        }
    }
}
