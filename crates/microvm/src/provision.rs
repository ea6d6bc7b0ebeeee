//! What the host needs: Debian packages and the guests' kernels.
//!
//! Idempotent, safe to be called by several processes at once, and without network once everything is there.

mod apt;
mod debian;
mod image;
mod kernels;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::kernel::Unpacked;
use crate::{Error, Kernel, Result};
pub use debian::RootImage;

/// Installs what is missing of the host's packages and fetches both kernels.
///
/// Called by each [`Lab`](crate::Lab) for its own kernel; by name it is useful to have everything at hand
/// before tests start. Says on standard error what it installs and fetches.
///
/// # Errors
/// [`Error::Provision`] and [`Error::Program`]: no rights to install, or no archive to be reached.
pub fn provision() -> Result<()> {
    let cache = Cache::open()?;
    for kernel in Kernel::ALL {
        cache.kernel(kernel)?;
    }
    Ok(())
}

/// The directory of what is worth keeping between runs: `$RDS_CSI_CACHE`, else `~/.cache/rds-csi`.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache of the environment, on a host that has the packages.
    pub(crate) fn open() -> Result<Self> {
        let root = env::var_os("RDS_CSI_CACHE")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/rds-csi")));
        let root = root.ok_or_else(|| Error::Provision("neither RDS_CSI_CACHE nor HOME is set".into()))?;
        fs::create_dir_all(&root).map_err(Error::host(root.display().to_string()))?;
        let cache = Self { root };
        let _lock = cache.lock("packages")?;
        apt::install_missing()?;
        Ok(cache)
    }

    /// A directory of the cache, made if it is not there.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(Error::host(path.display().to_string()))?;
        Ok(path)
    }

    /// Waits until no other process or thread makes what goes by this name. Held until it is dropped.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let path = self.root.join(format!("{name}.lock"));
        let file = File::create(&path).and_then(|file| file.lock().map(|()| file));
        file.map_err(Error::host(path.display().to_string()))
    }

    /// The kernel, fetched unless it is there.
    pub(crate) fn kernel(&self, kernel: Kernel) -> Result<Unpacked> {
        let _lock = self.lock(&format!("kernel-{kernel}"))?;
        let kernels = self.directory("kernels")?;
        kernels::find_or_fetch(kernel, &kernels)
    }
}

/// Moves what was made beside its place into it, all at once.
pub(crate) fn publish(made: &Path, place: &Path) -> Result<()> {
    fs::rename(made, place).map_err(Error::host(format!("{} to {}", made.display(), place.display())))
}
