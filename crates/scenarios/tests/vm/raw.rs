//! Raw devices: what is written to a block of them past the page cache, and who wrote it last.

use std::time::Duration;

use microvm::Background;
use scenarios::Node;

/// A write takes tens of milliseconds in a guest, and seconds on a busy machine.
const WRITES: Duration = Duration::from_secs(120);

/// A process that writes numbered records over one block of a device, until a write fails.
#[derive(Debug)]
pub(crate) struct Writer(Background);

impl Writer {
    /// Starts one under a name, and waits until some of its records are written.
    pub(crate) fn start(node: &Node, device: &str, who: &str, block: u64) -> Self {
        let write = write_line(device, block, &format!("{who}-%010d"));
        let line = format!("i=0; while i=$((i+1)); do {write} || exit 1; echo $i; done");
        let writer = Self(node.guest.spawn(&line).unwrap());
        writer.goes_on();
        writer
    }

    /// The number of the last record whose write has ended well.
    pub(crate) fn written(&self) -> u64 {
        let said = String::from_utf8_lossy(&self.0.stdout()).into_owned();
        said.lines().filter_map(|line| line.parse().ok()).max().unwrap_or(0)
    }

    /// Waits until some more are written.
    pub(crate) fn goes_on(&self) {
        self.0.wait_for_stdout(&format!("\n{}\n", self.written() + 3), WRITES).unwrap();
    }

    /// Ends one whose writes do not hang.
    pub(crate) fn end(self) {
        self.0.kill().unwrap();
        self.0.wait(WRITES).unwrap();
    }
}

/// Writes a text to the start of a block.
pub(crate) fn write(node: &Node, device: &str, block: u64, text: &str) {
    node.guest.sh(&write_line(device, block, text)).unwrap();
}

/// The text at the start of a block.
pub(crate) fn read(node: &Node, device: &str, block: u64) -> String {
    let line = format!("dd if={device} bs=4096 count=1 skip={block} iflag=direct 2>/dev/null | tr -d '\\0'");
    node.guest.sh(&line).unwrap()
}

/// Writes what printf makes of a format and `$i`, and zeros after it.
fn write_line(device: &str, block: u64, format: &str) -> String {
    format!(
        "{{ printf '{format}' $i; head -c 4096 /dev/zero; }} 2>/dev/null | dd of={device} bs=4096 count=1 seek={block} \
         iflag=fullblock oflag=direct conv=notrunc 2>/dev/null"
    )
}
