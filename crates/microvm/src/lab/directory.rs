//! A lab's directory on the host: disks, sockets, consoles.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, Result};

/// What the names of labs' directories start with.
const PREFIX: &str = "microvm-";

/// Removed with the lab. What a killed process left is removed by the next lab: its lock is free.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// A new directory in the host's temporary directory.
    pub(crate) fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let parent = env::temp_dir();
        remove_abandoned(&parent);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        let failed = || Error::host(path.display().to_string());
        fs::create_dir(&path).map_err(failed())?;
        let lock = File::create(path.join("lock")).and_then(|file| file.lock().map(|()| file));
        Ok(Self { _lock: lock.map_err(failed())?, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("microvm: {}: {error}", self.path.display());
        }
    }
}

/// Removes the directories of labs whose process has ended: nobody holds their lock.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        // Without a lock file it is being made right now.
        let free = ours && File::open(path.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if free {
            // Another process may remove it at the same time.
            let _ = fs::remove_dir_all(&path);
        }
    }
}
