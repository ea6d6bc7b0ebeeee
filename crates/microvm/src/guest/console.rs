//! A guest's console: kept in a file, and watched for the agent's word.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::{Error, Result};

/// What the agent prints when it listens, before the seconds that the guest's clock has counted since its start.
const READY: &str = "microvm: agent ready after ";

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
                if let Some(uptime) = uptime(&String::from_utf8_lossy(line)) {
                    // Who booted may have given up.
                    let _ = ready.send(uptime);
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
    ready: Receiver<Duration>,
}

impl Boot {
    /// Waits until the agent listens, and answers how old the guest is by its own clock; else says what happened.
    pub(crate) fn wait(&self, within: Duration) -> std::result::Result<Duration, String> {
        self.ready.recv_timeout(within).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("not ready within {within:?}"),
            RecvTimeoutError::Disconnected => "ended while it booted".to_owned(),
        })
    }
}

/// The guest's age, if this is the agent's word.
fn uptime(line: &str) -> Option<Duration> {
    let (_, seconds) = line.trim_end().strip_suffix(" s")?.split_once(READY)?;
    Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_word_tells_the_guests_age_and_nothing_else_does() {
        assert_eq!(uptime("microvm: agent ready after 12.34 s\r\n"), Some(Duration::from_millis(12_340)));
        for line in
            ["microvm: agent ready after", "microvm: agent ready after x s", "[    1.0] ready after 2 s"]
        {
            assert_eq!(uptime(line), None, "{line}");
        }
    }
}
