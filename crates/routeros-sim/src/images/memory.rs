//! Files that are sizes only; what `/file/add` wrote is kept, images are all zero.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Images;

/// Files in memory.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<String, u64>>);

impl Memory {
    /// Bytes taken, by name.
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, path: &str, taken: u64) -> io::Result<()> {
        self.files().insert(path.to_owned(), taken);
        Ok(())
    }
}

impl Images for Memory {
    fn make_directory(&self, path: &str) -> io::Result<()> {
        self.put(path, 0)
    }

    fn write(&self, path: &str, contents: &[u8]) -> io::Result<()> {
        self.put(path, contents.len() as u64)
    }

    fn create(&self, path: &str, size: u64, preallocate: bool) -> io::Result<()> {
        self.put(path, if preallocate { size } else { 0 })
    }

    fn resize(&self, path: &str, size: u64, preallocate: bool) -> io::Result<()> {
        let before = self.files().get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        self.put(path, if preallocate { size } else { before.min(size) })
    }

    fn copy(&self, from: &str, to: &str, reflink: bool) -> io::Result<()> {
        let taken = self.files().get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        self.put(to, if reflink { 0 } else { taken })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.files().remove(path);
        Ok(())
    }

    fn allocated(&self, pool: &str) -> u64 {
        let below = format!("{pool}/");
        self.files().iter().filter(|(path, _)| path.starts_with(&below)).map(|(_, taken)| taken).sum()
    }
}
