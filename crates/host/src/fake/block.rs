//! Devices: past the page cache, through it, and held.

use std::path::Path;

use crate::op::Output;
use crate::{Content, Device, Error, ErrorKind, Range, Result};

use super::node::{Entry, KernelVersion, What};
use super::nvme::{MAJOR, PathState};
use super::run::{EIO, Stop, errno, missing};
use super::store::Medium;
use super::world::Kernel;

type Step = std::result::Result<Output, Stop>;

const EINVAL: i32 = 22;

impl Kernel<'_> {
    fn within(&mut self, minor: u32, offset: u64, length: u64) -> Result<String> {
        let head = self.head(minor)?;
        if offset.checked_add(length).is_none_or(|end| end > head.bytes) {
            return Err(errno("read past the end", EINVAL));
        }
        Ok(head.volume.clone())
    }

    pub(super) fn read(&mut self, device: &Device, range: Range) -> Step {
        let minor = self.open(device)?;
        self.io(minor)?;
        let volume = self.within(minor, range.offset, range.length)?;
        Ok(Output::Bytes(self.target.store(&volume).read(range.offset, range.length)))
    }

    pub(super) fn scan(&mut self, device: &Device, ranges: &[Range]) -> Step {
        let minor = self.open(device)?;
        self.io(minor)?;
        for range in ranges {
            let volume = self.within(minor, range.offset, range.length)?;
            if let Some(at) = self.target.store(&volume).first_data(range.offset, range.length) {
                return Ok(Output::Content(Content::Data(at)));
            }
        }
        Ok(Output::Content(Content::Zero))
    }

    pub(super) fn write(&mut self, device: &Device, offset: u64, bytes: &[u8]) -> Step {
        let minor = self.open(device)?;
        self.io(minor)?;
        let volume = self.within(minor, offset, bytes.len() as u64)?;
        self.target.store(&volume).write(offset, bytes);
        self.effect(format!("write {} bytes at {offset} of {volume}", bytes.len()))?;
        Ok(Output::Done)
    }

    pub(super) fn is_free(&mut self, device: &Device) -> Output {
        let used = |minor| self.node.superblocks.iter().any(|superblock| superblock.minor == minor);
        Output::Free(!self.open(device).is_ok_and(used))
    }

    pub(super) fn flush(&mut self, device: &Device) -> Step {
        let minor = self.open(device)?;
        self.write_back(minor)?;
        self.effect(format!("flush {device}"))?;
        Ok(Output::Done)
    }

    pub(super) fn hold(&mut self, device: &Device, target: &Path) -> Step {
        let minor = self.open(device)?;
        match self.node.holds.get(target) {
            Some(held) if *held == minor => return Ok(Output::Done),
            Some(_) => {
                let message = format!("another device is held for {}", target.display());
                return Err(Error::new(ErrorKind::Busy, message).into());
            }
            None => {}
        }
        self.node.holds.insert(target.to_owned(), minor);
        self.effect(format!("hold {device}"))?;
        Ok(Output::Done)
    }

    pub(super) fn release(&mut self, target: &Path) -> Step {
        let Some(minor) = self.node.holds.get(target).copied() else { return Ok(Output::Done) };
        let written = self.write_back(minor);
        if !matches!(self.path(minor), PathState::Gone) {
            written?;
            return self.let_go(minor, target);
        }
        let output = self.let_go(minor, target)?;
        written.map(|()| output)
    }

    fn let_go(&mut self, minor: u32, target: &Path) -> Step {
        self.node.holds.remove(target);
        self.free_head(minor);
        self.effect(format!("release {}", target.display()))?;
        Ok(Output::Done)
    }

    /// Writes a device's dirty pages back, or says that they are lost as far as this kernel does.
    pub(super) fn write_back(&mut self, minor: u32) -> std::result::Result<(), Stop> {
        let (path, version, dead) = (self.path(minor), self.node.version, self.is_dead(minor));
        let head = self.node.heads.iter_mut().find(|head| head.minor == minor);
        let head = head.ok_or_else(|| errno("sync", EIO))?;
        match path {
            PathState::Ready if !dead => {
                head.queued = false;
                head.dirty.write_back(self.target.store(&head.volume));
                Ok(())
            }
            PathState::Waiting if !dead => {
                head.queued |= !head.dirty.is_empty();
                if head.dirty.is_empty() { Ok(()) } else { Err(Stop::Wait) }
            }
            // Linux 6.12 says it to the first sync only (node.md K9).
            _ if head.lost && !(head.told && version == KernelVersion::V6_12) => {
                head.told = true;
                Err(Error { kind: ErrorKind::Unwritten, ..errno("sync", EIO) }.into())
            }
            _ => Ok(()),
        }
    }

    /// The device behind a path: a bound device node, or one in `/dev`.
    pub(super) fn device_at(&mut self, path: &Path) -> Result<Option<(u32, u32)>> {
        self.failure("device_at")?;
        if let Some(mount) = self.node.mounts.iter().rev().find(|mount| mount.target == path) {
            return Ok(match &mount.what {
                What::DeviceNode(minor, _) => Some((MAJOR, *minor)),
                What::Filesystem(_) => None,
            });
        }
        if let Some(minor) = self.device_node(path) {
            return Ok(Some((MAJOR, minor)));
        }
        match self.node.paths.get(path) {
            Some(Entry::Directory | Entry::EmptyFile | Entry::Foreign) => Ok(None),
            None => Err(missing(path.display())),
        }
    }

    /// The minor of a path in `/dev`.
    pub(super) fn device_node(&self, path: &Path) -> Option<u32> {
        let heads = self.node.heads.iter().filter(|head| !head.gone);
        heads.map(|head| head.device()).find(|device| device.path() == path).map(|device| device.minor)
    }
}
