//! A pod of a volume: its process writes numbered records with fsync.

use std::time::Duration;

use anyhow::{Context, Result};
use microvm::Background;
use scenarios::{Attached, Made, Node};

use crate::action::NodeName;
use crate::ledger::Run;

/// Where the nodes have the program.
pub(crate) const RECORDER: &str = "/usr/bin/recorder";
/// A process in the kernel ends when its write does, which is late on a slow backend.
const END: Duration = Duration::from_secs(180);
/// Reading takes a second for a thousand records in a guest that has the processor for itself.
const READ: Duration = Duration::from_secs(300);

/// A pod that runs.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) node: NodeName,
    pub(crate) attached: Attached,
    pub(crate) writer: Writer,
}

/// Its process.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) name: String,
    process: Background,
}

/// Where a volume that is mounted has its records.
fn file(made: &Made) -> String {
    let target = Node::target(made);
    if made.shape.fs.is_some() { format!("{target}/log") } else { target }
}

/// Whose records there are in a volume that is mounted.
pub(crate) fn runs(node: &Node, made: &Made) -> Result<Vec<Run>> {
    let file = file(made);
    let line = format!("test ! -e {file} || {RECORDER} runs {file}");
    let output = node.guest.command(&line).deadline(READ).run()?;
    anyhow::ensure!(output.success(), "reading the records: {output}");
    output.stdout_text().lines().map(run).collect()
}

fn run(line: &str) -> Result<Run> {
    let (name, last) = line.split_once(' ').with_context(|| format!("{line:?} is no run of records"))?;
    Ok((name.to_owned(), last.parse()?))
}

impl Writer {
    /// Starts one on a volume that is mounted.
    pub(crate) fn start(node: &Node, made: &Made, name: String) -> Result<Self> {
        let line = format!("exec {RECORDER} write {} {name} 2>&1", file(made));
        Ok(Self { process: node.guest.spawn(&line)?, name })
    }

    /// The last record that it was told to be safe.
    pub(crate) fn acknowledged(&self) -> u64 {
        last_acknowledged(&self.process.stdout())
    }

    /// Whether it failed, or its machine did.
    pub(crate) fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Its last words.
    pub(crate) fn last_words(&self) -> String {
        let said = String::from_utf8_lossy(&self.process.stdout()).into_owned();
        said.lines().last().unwrap_or_default().to_owned()
    }

    /// SIGKILL, as the kubelet does it to a pod that does not end. It may stay in the kernel until its I/O ends.
    pub(crate) fn kill(&self) {
        // Where its machine is gone, so is it.
        let _ = self.process.kill();
    }

    /// Waits until it is gone; answers the last record that it was told to be safe.
    pub(crate) fn ended(self) -> Result<u64> {
        testbed::wait_until(&format!("{} has ended", self.name), END, || Ok(self.has_ended().then_some(())))?;
        Ok(self.acknowledged())
    }
}

fn last_acknowledged(said: &[u8]) -> u64 {
    let said = String::from_utf8_lossy(said);
    // A line whose end is not there yet may be a shorter number than it will be.
    let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().rev().find_map(|line| line.strip_prefix("ack ")?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::last_acknowledged;

    #[test]
    fn only_a_whole_line_is_an_acknowledgement() {
        assert_eq!(last_acknowledged(b""), 0);
        assert_eq!(last_acknowledged(b"ack 9\nack 10\nack 1"), 10);
        assert_eq!(last_acknowledged(b"ack 9\nError: Os { code: 5 }\n"), 9);
    }
}
