//! Everything that needs no guest: pure functions, client and simulator, the system in one process.

use anyhow::Result;

use super::counted;
use crate::machine::{Needed, install, unpack};
use crate::process::cargo;
use crate::tally::Tally;

/// Tests of mounts and file systems run on loop devices of this machine.
const NEEDED: &[Needed] = &[
    Needed { program: "mkfs.xfs", package: "xfsprogs" },
    Needed { program: "mkfs.ext4", package: "e2fsprogs" },
    Needed { program: "losetup", package: "mount" },
];

/// Lints what the binary shows to scrapers. Its package brings the server as a service, hence not installed.
const PROMTOOL: &Needed = &Needed { program: "promtool", package: "prometheus" };

pub(super) fn run() -> Result<Tally> {
    install(NEEDED)?;
    unpack(PROMTOOL)?;
    counted(cargo().args(["test", "--workspace", "--no-fail-fast", "--quiet"]))
}
