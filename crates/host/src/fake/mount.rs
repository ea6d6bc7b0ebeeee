//! Mounts, superblocks that outlive them, and the few paths that the driver makes.

use std::path::{Path, PathBuf};

use volume::FsType;

use crate::op::{Op, Output};
use crate::request::Machine;
use crate::{Device, MountEntry, Mounts, Result, Volume};

use super::FakeKernel;
use super::image;
use super::node::{Entry, Mount, Superblock, What};
use super::nvme::{MAJOR, PathState};
use super::run::{Stop, errno, missing};
use super::world::Kernel;

type Step = std::result::Result<Output, Stop>;

const EINVAL: i32 = 22;
const EEXIST: i32 = 17;
const ENOTEMPTY: i32 = 39;
const EBUSY: i32 = 16;
/// devtmpfs, as most machines number it.
const DEVTMPFS: (u32, u32) = (0, 5);

impl Mounts for FakeKernel {
    async fn mounts(&self) -> Result<Vec<MountEntry>> {
        self.alive().await;
        self.with(|kernel| kernel.failure("mounts"))?;
        Ok(self.look(|kernel| kernel.node.mounts.iter().map(|mount| kernel.entry(mount)).collect()))
    }

    async fn mount(
        &self,
        volume: Volume<'_>,
        device: &Device,
        target: &Path,
        fs: FsType,
        options: &[String],
    ) -> Result<()> {
        let (device, target) = (device.clone(), target.to_owned());
        self.run(volume, Op::Mount { device, target, fs, options: options.to_vec() }).await?.done()
    }

    async fn bind(&self, volume: Volume<'_>, source: &Path, target: &Path, readonly: bool) -> Result<()> {
        let op = Op::Bind { source: source.to_owned(), target: target.to_owned(), readonly };
        self.run(volume, op).await?.done()
    }

    async fn unmount(&self, volume: Volume<'_>, target: &Path) -> Result<()> {
        self.run(volume, Op::Unmount { target: target.to_owned() }).await?.done()
    }

    async fn make_dir(&self, path: &Path) -> Result<()> {
        self.change(|kernel| kernel.make(path, Entry::Directory)).await
    }

    async fn make_file(&self, path: &Path) -> Result<()> {
        self.change(|kernel| kernel.make(path, Entry::EmptyFile)).await
    }

    async fn remove_empty(&self, path: &Path) -> Result<()> {
        self.change(|kernel| kernel.remove_empty(path)).await
    }
}

impl Kernel<'_> {
    fn entry(&self, mount: &Mount) -> MountEntry {
        let ((major, minor), root, fs) = match &mount.what {
            What::Filesystem(minor) => {
                let fs = self.filesystem(*minor).map(|fs| fs.to_string()).unwrap_or_default();
                ((MAJOR, *minor), PathBuf::from("/"), fs)
            }
            What::DeviceNode(_, name) => (DEVTMPFS, Path::new("/").join(name), "devtmpfs".to_owned()),
        };
        let access = if mount.readonly { "ro" } else { "rw" };
        let options =
            [access, "relatime"].into_iter().map(str::to_owned).chain(mount.options.clone()).collect();
        MountEntry { target: mount.target.clone(), major, minor, root, fs, options }
    }

    pub(super) fn mount(&mut self, device: &Device, target: &Path, fs: FsType, options: &[String]) -> Step {
        let minor = self.open(device)?;
        if self.node.paths.get(target) != Some(&Entry::Directory) {
            return Err(missing(target.display()).into());
        }
        self.io(minor)?;
        if self.medium(minor, |medium| image::recognise(medium))? != Some(fs) {
            return Err(errno("mount: wrong fs type, bad superblock", EINVAL).into());
        }
        if !self.node.superblocks.iter().any(|superblock| superblock.minor == minor) {
            self.node.superblocks.push(Superblock { minor, fs, foreign: 0, dead: false });
            self.medium(minor, |medium| image::note_mount(medium, fs))?;
        }
        let readonly = options.iter().any(|option| option == "ro");
        let options = options.iter().filter(|option| *option != "ro").cloned().collect();
        let what = What::Filesystem(minor);
        self.node.mounts.push(Mount { target: target.to_owned(), what, readonly, options });
        self.effect(format!("mount {device} at {}", target.display()))?;
        Ok(Output::Done)
    }

    pub(super) fn bind(&mut self, source: &Path, target: &Path, readonly: bool) -> Step {
        let mounted = self.node.mounts.iter().rev().find(|mount| mount.target == source);
        let what = match (mounted.map(|mount| mount.what.clone()), self.device_node(source)) {
            (Some(what), _) => what,
            (None, Some(minor)) => {
                let name = source.file_name().map(|name| name.to_string_lossy().into_owned());
                What::DeviceNode(minor, name.unwrap_or_default())
            }
            (None, None) => return Err(missing(format!("a mount or device at {}", source.display())).into()),
        };
        let fitting = if matches!(what, What::Filesystem(_)) { Entry::Directory } else { Entry::EmptyFile };
        if self.node.paths.get(target) != Some(&fitting) {
            return Err(missing(format!("a {fitting:?} at {}", target.display())).into());
        }
        let options = mounted_options(self, source);
        self.node.mounts.push(Mount { target: target.to_owned(), what, readonly, options });
        self.effect(format!("bind {} at {}", source.display(), target.display()))?;
        Ok(Output::Done)
    }

    /// First the mount goes, then the superblock is waited for: a retry finds nothing mounted and
    /// says success while the superblock lives (node.md K4).
    pub(super) fn unmount(&mut self, target: &Path, phase: &mut u32) -> Step {
        if *phase == 0 {
            let Some(at) = self.node.mounts.iter().rposition(|mount| mount.target == target) else {
                return Ok(Output::Done);
            };
            let mount = self.node.mounts.remove(at);
            *phase = match mount.what {
                What::Filesystem(minor) => 1 + minor,
                What::DeviceNode(..) => u32::MAX,
            };
            self.effect(format!("unmount {}", target.display()))?;
            self.close_superblocks();
        }
        let closing = |superblock: &Superblock| {
            Some(superblock.minor) == phase.checked_sub(1) && self.users(superblock) == 0
        };
        if self.node.superblocks.iter().any(closing) { Err(Stop::Wait) } else { Ok(Output::Done) }
    }

    fn users(&self, superblock: &Superblock) -> usize {
        let what = What::Filesystem(superblock.minor);
        superblock.foreign + self.node.mounts.iter().filter(|mount| mount.what == what).count()
    }

    /// Superblocks that nothing mounts write back and go; where no path takes it, they stay (K4), and
    /// where the device is gone, what was dirty is lost without a word (K5).
    pub(super) fn close_superblocks(&mut self) -> bool {
        let unused = self.node.superblocks.iter().filter(|superblock| self.users(superblock) == 0);
        let minors: Vec<u32> = unused.map(|superblock| superblock.minor).collect();
        let mut moved = false;
        for minor in minors {
            let dead = self.is_dead(minor);
            if !dead && self.path(minor) != PathState::Gone && self.write_back(minor).is_err() {
                continue;
            }
            if dead {
                self.forget_loss(minor);
            }
            self.node.superblocks.retain(|superblock| superblock.minor != minor);
            self.free_head(minor);
            moved = true;
        }
        moved
    }

    fn make(&mut self, path: &Path, entry: Entry) -> Result<()> {
        self.failure(if entry == Entry::Directory { "make_dir" } else { "make_file" })?;
        match self.node.paths.get(path) {
            Some(there) if *there == entry => return Ok(()),
            Some(_) => return Err(errno("make", EEXIST)),
            None => {}
        }
        for parent in path.ancestors().skip(1) {
            self.node.paths.entry(parent.to_owned()).or_insert(Entry::Directory);
        }
        self.node.paths.insert(path.to_owned(), entry);
        self.told(format!("make {}", path.display()));
        Ok(())
    }

    fn remove_empty(&mut self, path: &Path) -> Result<()> {
        self.failure("remove_empty")?;
        if self.node.mounts.iter().any(|mount| mount.target == path) {
            return Err(errno("remove", EBUSY));
        }
        let inside = |other: &PathBuf| other != path && other.starts_with(path);
        match self.node.paths.get(path) {
            None => return Ok(()),
            Some(Entry::Foreign) => return Err(errno("remove", ENOTEMPTY)),
            Some(_) if self.node.paths.keys().any(inside) => return Err(errno("remove", ENOTEMPTY)),
            Some(_) => {}
        }
        self.node.paths.remove(path);
        self.told(format!("remove {}", path.display()));
        Ok(())
    }

    /// An effect outside a helper: the caller looks for the crash itself.
    fn told(&mut self, what: String) {
        let _crashed = self.node.effects.note(&what);
    }
}

fn mounted_options(kernel: &Kernel<'_>, source: &Path) -> Vec<String> {
    let mount = kernel.node.mounts.iter().rev().find(|mount| mount.target == source);
    mount.map(|mount| mount.options.clone()).unwrap_or_default()
}
