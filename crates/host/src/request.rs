//! Block devices and file systems: every call is one operation in a helper.

use std::path::Path;

use volume::FsType;

use crate::op::{Op, Output};
use crate::{Block, Content, Device, Filesystems, Mkfs, Range, Result, Usage, Volume};

/// What carries operations out: helper processes, or the fake kernel.
pub(crate) trait Machine: Sync {
    /// Runs an operation of a volume, joining the same one where it still runs.
    fn run(&self, volume: Volume<'_>, op: Op) -> impl Future<Output = Result<Output>> + Send;

    /// See [`Block::device_at`].
    fn device_at(&self, path: &Path) -> impl Future<Output = Result<Option<(u32, u32)>>> + Send;
}

impl<M: Machine> Block for M {
    async fn read(&self, volume: Volume<'_>, device: &Device, range: Range) -> Result<Vec<u8>> {
        self.run(volume, Op::Read { device: device.clone(), range }).await?.bytes()
    }

    async fn scan(&self, volume: Volume<'_>, device: &Device, ranges: &[Range]) -> Result<Content> {
        self.run(volume, Op::Scan { device: device.clone(), ranges: ranges.to_vec() }).await?.content()
    }

    async fn write(&self, volume: Volume<'_>, device: &Device, offset: u64, bytes: &[u8]) -> Result<()> {
        let op = Op::Write { device: device.clone(), offset, bytes: bytes.to_vec() };
        self.run(volume, op).await?.done()
    }

    async fn is_free(&self, volume: Volume<'_>, device: &Device) -> Result<bool> {
        self.run(volume, Op::IsFree { device: device.clone() }).await?.free()
    }

    async fn flush(&self, volume: Volume<'_>, device: &Device) -> Result<()> {
        self.run(volume, Op::Flush { device: device.clone() }).await?.done()
    }

    async fn hold(&self, volume: Volume<'_>, device: &Device, target: &Path) -> Result<()> {
        self.run(volume, Op::Hold { device: device.clone(), target: target.to_owned() }).await?.done()
    }

    async fn release(&self, volume: Volume<'_>, target: &Path) -> Result<()> {
        self.run(volume, Op::Release { target: target.to_owned() }).await?.done()
    }

    async fn device_at(&self, path: &Path) -> Result<Option<(u32, u32)>> {
        Machine::device_at(self, path).await
    }
}

impl<M: Machine> Filesystems for M {
    async fn mkfs(&self, volume: Volume<'_>, device: &Device, mkfs: &Mkfs) -> Result<()> {
        let Mkfs { fs, uuid, bytes } = mkfs;
        let op = Op::Mkfs { device: device.clone(), fs: *fs, uuid: uuid.to_string(), bytes: *bytes };
        self.run(volume, op).await?.done()
    }

    async fn grow(&self, volume: Volume<'_>, device: &Device, mountpoint: &Path, fs: FsType) -> Result<()> {
        let op = Op::Grow { device: device.clone(), mountpoint: mountpoint.to_owned(), fs };
        self.run(volume, op).await?.done()
    }

    async fn sync(&self, volume: Volume<'_>, mountpoint: &Path) -> Result<()> {
        self.run(volume, Op::Sync { mountpoint: mountpoint.to_owned() }).await?.done()
    }

    async fn check(&self, volume: Volume<'_>, device: &Device, mountpoint: &Path) -> Result<()> {
        let op = Op::Check { device: device.clone(), mountpoint: mountpoint.to_owned() };
        self.run(volume, op).await?.done()
    }

    async fn usage(&self, volume: Volume<'_>, mountpoint: &Path) -> Result<Usage> {
        self.run(volume, Op::Usage { mountpoint: mountpoint.to_owned() }).await?.usage()
    }
}
