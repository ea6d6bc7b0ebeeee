//! Block devices, read and written with doubt.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Result, Volume};

/// A block device by the number that the kernel knows it by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Device {
    /// `nvme0n1`: only to be shown and opened, never compared.
    pub name: String,
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
    /// The subsystem that it was found under: numbers are used again once a device is gone, so what opens the
    /// device compares this as well. `None` expects none: no NVMe device.
    pub nqn: Option<String>,
}

/// A range of a device in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Where it begins.
    pub offset: u64,
    /// How long it is; multiples of 4096.
    pub length: u64,
}

/// What a scan for anything but zeros found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Every byte is zero.
    Zero,
    /// The first block that is not zero begins at this byte.
    Data(u64),
}

impl Device {
    /// `/dev/<name>`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/dev").join(&self.name)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/dev/{} ({}:{})", self.name, self.major, self.minor)
    }
}

/// Block devices of this node. Every method opens the device by name and refuses it where its
/// number or its subsystem is not the given one: both names and numbers are reused (node.md K13).
pub trait Block {
    /// Reads a range past the page cache.
    ///
    /// # Errors
    /// Where not every byte could be read: what could not be read is not zero.
    fn read(
        &self,
        volume: Volume<'_>,
        device: &Device,
        range: Range,
    ) -> impl Future<Output = Result<Vec<u8>>> + Send;

    /// Looks for anything but zeros in the ranges, in order, past the page cache. A long scan that was
    /// abandoned goes on, and the same call made again has its result.
    ///
    /// # Errors
    /// As [`Block::read`].
    fn scan(
        &self,
        volume: Volume<'_>,
        device: &Device,
        ranges: &[Range],
    ) -> impl Future<Output = Result<Content>> + Send;

    /// Writes bytes at an offset and waits until the device has them on stable storage.
    ///
    /// # Errors
    /// Where any of it failed; some of it may be written.
    fn write(
        &self,
        volume: Volume<'_>,
        device: &Device,
        offset: u64,
        bytes: &[u8],
    ) -> impl Future<Output = Result<()>> + Send;

    /// Whether nobody on this node uses the device: `open(O_EXCL)` (node.md K6). A device that is
    /// gone is free.
    ///
    /// # Errors
    /// Where that cannot be told.
    fn is_free(&self, volume: Volume<'_>, device: &Device) -> impl Future<Output = Result<bool>> + Send;

    /// Writes back what the page cache holds of the device: fsync of the device.
    ///
    /// # Errors
    /// The loss of anything unwritten, as far as the kernel tells it.
    fn flush(&self, volume: Volume<'_>, device: &Device) -> impl Future<Output = Result<()>> + Send;

    /// Keeps a descriptor of the device open in a helper, so that its number is not given to
    /// another while it is published at `target` (node.md rule 10). Held already is success.
    ///
    /// # Errors
    /// Where it cannot be opened or another device is held for that target.
    fn hold(
        &self,
        volume: Volume<'_>,
        device: &Device,
        target: &std::path::Path,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Flushes and closes what [`Block::hold`] opened for the target. Nothing held is success.
    ///
    /// # Errors
    /// A flush that failed. The descriptor is then still held, unless the device is gone: then what was not
    /// written is lost, and nothing is held any more.
    fn release(
        &self,
        volume: Volume<'_>,
        target: &std::path::Path,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The device behind a device node, by number; `None` where the path is no block device.
    ///
    /// # Errors
    /// Where the path cannot be looked at; a path that is not there is [`crate::ErrorKind::Missing`].
    fn device_at(&self, path: &std::path::Path) -> impl Future<Output = Result<Option<(u32, u32)>>> + Send;
}
