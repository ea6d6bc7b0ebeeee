//! A pod's process that writes with fsync, one write after the other.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use microvm::Background;
use scenarios::Node;

/// A first write takes a second in a guest, and many times that on a busy machine.
const BEGIN: Duration = Duration::from_secs(120);

/// The process; it ends at the first write that fails, and is killed when this is dropped.
pub(super) struct Writer(Background);

impl Writer {
    /// Starts one that writes into this directory, and waits for its first writes.
    pub(super) fn start(node: &Node, directory: &str) -> Result<Self> {
        let write = format!("dd if=/dev/zero of={directory}/file bs=4096 count=1 conv=notrunc,fsync 2>&1");
        let line = format!("n=0; while said=$({write}); do n=$((n+1)); echo $n done; done; echo $said");
        let writer = Self(node.guest.spawn(&line)?);
        writer.wait_beyond(3, BEGIN)?;
        Ok(writer)
    }

    /// How many writes have completed.
    pub(super) fn completed(&self) -> u64 {
        String::from_utf8_lossy(&self.0.stdout()).matches("done\n").count() as u64
    }

    /// Waits until more than so many have; answers how long that took.
    pub(super) fn wait_beyond(&self, writes: u64, within: Duration) -> Result<Duration> {
        let start = Instant::now();
        let next = format!("{} done\n", writes + 1);
        self.0.wait_for_stdout(&next, within).context("a write")?;
        Ok(start.elapsed())
    }
}
