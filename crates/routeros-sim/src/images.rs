//! Files of the pools: below a directory, or in memory for tests that want no I/O.

mod directory;
mod memory;

use std::io;

pub use directory::Directory;
pub use memory::Memory;

/// Files by the names that `/file` gives them. Calls may block.
pub trait Images: Send + Sync + 'static {
    /// Makes a directory.
    ///
    /// # Errors
    /// That of the file system.
    fn make_directory(&self, path: &str) -> io::Result<()>;
    /// Writes a small file.
    ///
    /// # Errors
    /// That of the file system.
    fn write(&self, path: &str, contents: &[u8]) -> io::Result<()>;
    /// Makes a zeroed image in place of any file there.
    ///
    /// # Errors
    /// That of the file system.
    fn create(&self, path: &str, size: u64, preallocate: bool) -> io::Result<()>;
    /// Grows or cuts an image; what is new reads as zeros.
    ///
    /// # Errors
    /// That of the file system.
    fn resize(&self, path: &str, size: u64, preallocate: bool) -> io::Result<()>;
    /// Copies a file over any other.
    ///
    /// # Errors
    /// That of the file system.
    fn copy(&self, from: &str, to: &str, reflink: bool) -> io::Result<()>;
    /// Removes a file or an empty directory; one that is gone is removed.
    ///
    /// # Errors
    /// That of the file system.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Bytes really taken by the files of a pool.
    fn allocated(&self, pool: &str) -> u64;
}
