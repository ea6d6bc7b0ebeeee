//! A guest's console: kept in a file, and watched for the agent's word.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::{Error, Result};

/// What the agent prints when it listens.
const READY: &str = "microvm: agent ready";

/// Lines shown of a console when something has failed.
const TAIL: usize = 60;

/// The console's log of all the guest's boots.
#[derive(Debug)]
pub(crate) struct Console {
    path: PathBuf,
}

impl Console {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { path: directory.join("console.log") }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what a machine says on standard output and error to the log, until both end.
    pub(crate) fn record(
        &self,
        output: impl Read + Send + 'static,
        errors: impl Read + Send + 'static,
    ) -> Result<Boot> {
        let open = || OpenOptions::new().create(true).append(true).open(&self.path);
        let failed = || Error::host(self.path.display().to_string());
        let (log, error_log) = (open().map_err(failed())?, open().map_err(failed())?);
        let (ready, boot) = mpsc::channel();
        thread::spawn(move || {
            copy_lines(output, log, |line| {
                if line.trim_ascii_end().ends_with(READY.as_bytes()) {
                    // Who booted may have given up.
                    let _ = ready.send(());
                }
            });
        });
        thread::spawn(move || copy_lines(errors, error_log, |_| ()));
        Ok(Boot { ready: boot })
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> String {
        let log = fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

/// A boot that is watched.
pub(crate) struct Boot {
    ready: Receiver<()>,
}

impl Boot {
    /// Waits until the agent listens; else says what happened.
    pub(crate) fn wait(&self, within: Duration) -> std::result::Result<(), String> {
        self.ready.recv_timeout(within).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("not ready within {within:?}"),
            RecvTimeoutError::Disconnected => "ended while it booted".to_owned(),
        })
    }
}

fn copy_lines(from: impl Read, mut log: File, mut watch: impl FnMut(&[u8])) {
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    while let Ok(1..) = lines.read_until(b'\n', &mut line) {
        // The log serves people; a full disk must not stop the guest.
        let _ = log.write_all(&line);
        watch(&line);
        line.clear();
    }
}
