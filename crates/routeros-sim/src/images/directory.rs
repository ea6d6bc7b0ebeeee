//! Files below a directory, sparse where the file system can.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, ioctl_ficlone};

use super::Images;

/// `st_blocks` counts these, in bytes, whatever the file system's own are (stat(2)).
const STAT_BLOCK: u64 = 512;

/// Files below a root; each pool is a directory of it.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Files below `root`, which is made where missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.canonicalize()? })
    }

    /// Where a file of `/file` really is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn sized(&self, file: &File, size: u64, preallocate: bool) -> io::Result<()> {
        file.set_len(size)?;
        if preallocate {
            fallocate(file, FallocateFlags::empty(), 0, size)?;
        }
        Ok(())
    }
}

impl Images for Directory {
    fn make_directory(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.path(path))
    }

    fn write(&self, path: &str, contents: &[u8]) -> io::Result<()> {
        fs::write(self.path(path), contents)
    }

    fn create(&self, path: &str, size: u64, preallocate: bool) -> io::Result<()> {
        self.sized(&File::create(self.path(path))?, size, preallocate)
    }

    fn resize(&self, path: &str, size: u64, preallocate: bool) -> io::Result<()> {
        self.sized(&OpenOptions::new().write(true).open(self.path(path))?, size, preallocate)
    }

    fn copy(&self, from: &str, to: &str, reflink: bool) -> io::Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        if reflink && ioctl_ficlone(File::create(&to)?, File::open(&from)?).is_ok() {
            return Ok(());
        }
        fs::copy(from, to).map(drop)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.path(path);
        let removed = match fs::symlink_metadata(&path) {
            Ok(there) if there.is_dir() => fs::remove_dir(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }

    fn allocated(&self, pool: &str) -> u64 {
        taken(&self.path(pool))
    }
}

fn taken(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, data)| if data.is_dir() { taken(&path) } else { data.blocks() * STAT_BLOCK })
        .sum()
}
