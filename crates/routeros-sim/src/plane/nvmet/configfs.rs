//! The tree that nvmet is configured by.

use std::fs;
use std::io;
use std::path::PathBuf;

/// Where configfs is mounted.
const MOUNT_POINT: &str = "/sys/kernel/config";

/// Directories, attributes and links below `nvmet`; paths are relative to it.
pub trait ConfigTree: Send + Sync + 'static {
    /// Makes a directory; one that is there is kept.
    ///
    /// # Errors
    /// The kernel's.
    fn make(&self, path: &str) -> io::Result<()>;
    /// Removes a directory; one that is gone is removed.
    ///
    /// # Errors
    /// The kernel's.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Writes an attribute.
    ///
    /// # Errors
    /// The kernel's.
    fn write(&self, path: &str, value: &str) -> io::Result<()>;
    /// Reads an attribute; `None` where it is not there.
    fn read(&self, path: &str) -> Option<String>;
    /// Makes a link; one that is there is kept.
    ///
    /// # Errors
    /// The kernel's.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a link; one that is gone is removed.
    ///
    /// # Errors
    /// The kernel's.
    fn unlink(&self, path: &str) -> io::Result<()>;
    /// Names in a directory; none where it is not there.
    fn list(&self, path: &str) -> Vec<String>;
}

/// The kernel's configfs.
#[derive(Debug)]
pub struct Configfs {
    root: PathBuf,
}

impl Configfs {
    /// nvmet's part of it, mounted where it is not.
    ///
    /// # Errors
    /// The kernel has no nvmet.
    #[expect(clippy::disallowed_methods, reason = "the simulator's own configfs, which does not hang")]
    pub fn mounted() -> io::Result<Self> {
        let root = PathBuf::from(MOUNT_POINT).join("nvmet");
        if !root.exists() {
            // Nothing mounted there yet, perhaps; whatever goes wrong, the tree is what counts.
            let flags = rustix::mount::MountFlags::empty();
            if let Err(error) = rustix::mount::mount("configfs", MOUNT_POINT, "configfs", flags, None) {
                tracing::debug!(%error, "cannot mount configfs");
            }
        }
        match root.exists() {
            true => Ok(Self { root }),
            false => Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is not there", root.display()))),
        }
    }

    fn told(&self, path: &str, outcome: io::Result<()>, fine: io::ErrorKind) -> io::Result<()> {
        match outcome {
            Err(error) if error.kind() != fine => {
                Err(io::Error::new(error.kind(), format!("{}: {error}", self.root.join(path).display())))
            }
            _ => Ok(()),
        }
    }
}

impl ConfigTree for Configfs {
    fn make(&self, path: &str) -> io::Result<()> {
        self.told(path, fs::create_dir(self.root.join(path)), io::ErrorKind::AlreadyExists)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.told(path, fs::remove_dir(self.root.join(path)), io::ErrorKind::NotFound)
    }

    fn write(&self, path: &str, value: &str) -> io::Result<()> {
        let written = fs::write(self.root.join(path), value);
        written.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.root.join(path).display())))
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let made = std::os::unix::fs::symlink(self.root.join(to), self.root.join(from));
        self.told(from, made, io::ErrorKind::AlreadyExists)
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.told(path, fs::remove_file(self.root.join(path)), io::ErrorKind::NotFound)
    }

    fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}
