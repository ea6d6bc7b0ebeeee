//! The folder of one run: data, certificates, sockets, logs.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{Error, Result};

/// Waits for the end of its input, which is our end, and removes the folder. Processes that die with us may still
/// be writing: it tries again while they do.
const GUARD: &str = r#"cat >/dev/null; for i in 1 2 3 4 5; do rm -rf -- "$1" && exit; sleep 0.2; done"#;

/// A folder in the temporary directory that is removed with this value, or by a guard when this process was killed.
/// It stays where the variable `TESTBED_KEEP` is set, to be read.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    guard: Option<Child>,
}

impl Folder {
    /// A new one.
    pub(crate) fn new() -> Result<Self> {
        let made = tempfile::Builder::new().prefix("testbed-").tempdir();
        let path = made.map_err(Error::host("a folder in the temporary directory"))?.keep();
        if std::env::var_os("TESTBED_KEEP").is_some() {
            eprintln!("testbed: keeping {}", path.display());
            return Ok(Self { path, guard: None });
        }
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(&path)
            .stdin(Stdio::piped())
            // Of its own: what ends us by our group must not end it.
            .process_group(0)
            .spawn();
        Ok(Self { guard: Some(guard.map_err(Error::host("start the folder's guard"))?), path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            // It ends by itself, with nothing to say.
            let _ = guard.wait();
        }
    }
}
