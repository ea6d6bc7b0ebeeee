//! mkfs that can be cut short, growth, sync and statfs.

use std::path::Path;

use uuid::Uuid;
use volume::FsType;

use crate::op::Output;
use crate::{Device, Error, ErrorKind, Result, Usage};

use super::image;
use super::node::{Format, What};
use super::run::{Stop, errno, missing};
use super::store::{BLOCK, Cached, Medium, Store};
use super::world::Kernel;

type Step = std::result::Result<Output, Stop>;

/// mkfs.xfs refuses less (node.md rule 9).
const XFS_MIN: u64 = 300 << 20;
/// What this fake's file systems need for their tables.
const EXT4_MIN: u64 = 3 << 20;
/// What each mkfs zeroes at the end of what it is given, first thing (node.md rule 9).
const EXT4_TAIL: u64 = 64 << 10;
const XFS_TAIL: u64 = 128 << 10;
const ENOSPC: i32 = 28;

fn refused(message: String) -> Stop {
    Stop::Failed(Error::new(ErrorKind::Refused(None), message))
}

impl Kernel<'_> {
    pub(super) fn mkfs(&mut self, device: &Device, fs: FsType, uuid: &str, bytes: Option<u64>) -> Step {
        let minor = self.open(device)?;
        self.io(minor)?;
        if self.node.superblocks.iter().any(|superblock| superblock.minor == minor) {
            return Err(Error::new(ErrorKind::Busy, format!("mkfs: {device} is in use by the system")).into());
        }
        let size = self.head(minor)?.bytes;
        let given = bytes.filter(|_| fs == FsType::Ext4).unwrap_or(size) / BLOCK * BLOCK;
        if given > size || given < (if fs == FsType::Xfs { XFS_MIN } else { EXT4_MIN }) {
            return Err(refused(format!("mkfs.{fs}: {given} bytes of {device} cannot be used")));
        }
        let volume = self.head(minor)?.volume.clone();
        let uuid = Uuid::parse_str(uuid).map_err(|error| refused(error.to_string()))?;
        self.begin_format(&volume, fs, uuid)?;
        self.write_filesystem(&volume, fs, uuid, given)?;
        Ok(Output::Done)
    }

    /// Neither is made over a file system; ext4 again over our own unfinished one.
    fn begin_format(&mut self, volume: &str, fs: FsType, uuid: Uuid) -> std::result::Result<(), Stop> {
        let store = self.target.store(volume);
        let found = image::recognise(store);
        let again = fs == FsType::Ext4 && found == Some(fs) && image::is_unmounted(store, uuid);
        let refuses = image::has_xfs_magic(store) || found.is_some() && !again;
        let format = Format { volume: volume.to_owned(), fs: fs.to_string(), over_filesystem: refuses };
        self.node.formats.push(format);
        if refuses {
            return Err(refused(format!("mkfs.{fs}: {volume} holds a file system: it is not formatted")));
        }
        Ok(())
    }

    /// The writes of a mkfs in their order, an effect each: a crash leaves what was written.
    fn write_filesystem(
        &mut self,
        volume: &str,
        fs: FsType,
        uuid: Uuid,
        given: u64,
    ) -> std::result::Result<(), Stop> {
        let tail = if fs == FsType::Xfs { XFS_TAIL } else { EXT4_TAIL };
        let zeros = vec![0; usize::try_from(tail).unwrap_or(0)];
        self.target.store(volume).write(given - tail, &zeros);
        self.effect(format!("mkfs zeroes the end of {volume}"))?;
        if fs == FsType::Xfs {
            image::write_superblock(self.target.store(volume), fs, uuid, given, true);
            self.effect(format!("mkfs writes the unfinished superblock of {volume}"))?;
        }
        image::write_tables(self.target.store(volume));
        self.effect(format!("mkfs writes the tables of {volume}"))?;
        image::write_superblock(self.target.store(volume), fs, uuid, given, false);
        self.effect(format!("mkfs writes the superblock of {volume}"))
    }

    pub(super) fn grow(&mut self, device: &Device, mountpoint: &Path, fs: FsType) -> Step {
        let minor = self.open(device)?;
        if self.mounted(mountpoint)? != minor {
            return Err(refused(format!("{device} is not what is mounted at {}", mountpoint.display())));
        }
        self.io(minor)?;
        let bytes = self.head(minor)?.bytes / BLOCK * BLOCK;
        let grown = self.medium(minor, |medium| {
            let grown = image::size(medium, fs) != bytes;
            image::set_size(medium, fs, bytes);
            grown
        })?;
        self.write_back(minor)?;
        if grown {
            self.effect(format!("grow {} to {bytes}", mountpoint.display()))?;
        }
        Ok(Output::Done)
    }

    pub(super) fn sync(&mut self, mountpoint: &Path) -> Step {
        let minor = self.mounted(mountpoint)?;
        self.write_back(minor)?;
        self.effect(format!("sync {}", mountpoint.display()))?;
        Ok(Output::Done)
    }

    /// The fsync of the root tells every time of a file system that is shut down.
    pub(super) fn check(&mut self, device: &Device, mountpoint: &Path) -> Step {
        let minor = self.mounted(mountpoint)?;
        if minor != device.minor {
            return Err(missing(format!("{device} at {}", mountpoint.display())).into());
        }
        self.sync(mountpoint)?;
        if self.is_dead(minor) {
            return Err(Error { kind: ErrorKind::Unwritten, ..errno("fsync", super::run::EIO) }.into());
        }
        Ok(Output::Done)
    }

    pub(super) fn is_dead(&self, minor: u32) -> bool {
        self.node.superblocks.iter().any(|superblock| superblock.minor == minor && superblock.dead)
    }

    /// Shuts a file system down: what was not written is lost.
    pub(super) fn shut_down(&mut self, mountpoint: &Path) -> Result<()> {
        let minor = self.mounted(mountpoint)?;
        let mut superblocks = self.node.superblocks.iter_mut();
        superblocks.by_ref().filter(|superblock| superblock.minor == minor).for_each(|one| one.dead = true);
        for head in self.node.heads.iter_mut().filter(|head| head.minor == minor) {
            head.dirty.drop_all();
            (head.lost, head.told) = (true, false);
            let name = head.device().name;
            self.node.complaints.insert(name);
        }
        Ok(())
    }

    /// What a file system lost is its own: the next one on the device begins anew.
    pub(super) fn forget_loss(&mut self, minor: u32) {
        for head in self.node.heads.iter_mut().filter(|head| head.minor == minor) {
            (head.lost, head.told) = (false, false);
        }
    }

    pub(super) fn usage(&mut self, mountpoint: &Path) -> Step {
        let minor = self.mounted(mountpoint)?;
        let fs = self.filesystem(minor)?;
        let (size, (used, files)) =
            self.medium(minor, |medium| (image::size(medium, fs), image::used(medium)))?;
        let inodes = size / (16 << 10);
        Ok(Output::Usage(Usage {
            total_bytes: size,
            available_bytes: size.saturating_sub(used),
            used_bytes: used.min(size),
            total_inodes: inodes,
            available_inodes: inodes.saturating_sub(files),
        }))
    }

    /// The device of the file system mounted topmost at a path.
    pub(super) fn mounted(&self, mountpoint: &Path) -> Result<u32> {
        match self.node.mounts.iter().rev().find(|mount| mount.target == mountpoint).map(|mount| &mount.what)
        {
            Some(What::Filesystem(minor)) => Ok(*minor),
            Some(What::DeviceNode(..)) | None => Err(missing(format!("a mount at {}", mountpoint.display()))),
        }
    }

    pub(super) fn filesystem(&self, minor: u32) -> Result<FsType> {
        let superblock = self.node.superblocks.iter().find(|superblock| superblock.minor == minor);
        superblock.map(|superblock| superblock.fs).ok_or_else(|| missing("the file system"))
    }

    /// The device through its page cache.
    pub(super) fn medium<T>(&mut self, minor: u32, with: impl FnOnce(&mut Cached<'_>) -> T) -> Result<T> {
        let volume = self.head(minor)?.volume.clone();
        let store: &Store = self.target.store(&volume);
        let head = self.node.heads.iter_mut().find(|head| head.minor == minor);
        let head = head.ok_or_else(|| errno("I/O", super::run::EIO))?;
        Ok(with(&mut Cached { store, dirty: &mut head.dirty }))
    }

    /// Writes a whole file into the page cache.
    pub(super) fn write_file(&mut self, minor: u32, name: &str, bytes: &[u8]) -> Result<()> {
        if self.is_dead(minor) {
            return Err(errno("write", super::run::EIO));
        }
        let fs = self.filesystem(minor)?;
        let fits = self.medium(minor, |medium| image::write_file(medium, fs, name, bytes))?;
        if fits { Ok(()) } else { Err(errno("write", ENOSPC)) }
    }
}
