//! Everything that needs no guest: pure functions, client and simulator, the system in one process.

use anyhow::Result;

use super::counted;
use crate::machine::{Needed, install};
use crate::process::cargo;
use crate::tally::Tally;

/// Tests of mounts and file systems run on loop devices of this machine.
const NEEDED: &[Needed] = &[
    Needed { program: "mkfs.xfs", package: "xfsprogs" },
    Needed { program: "mkfs.ext4", package: "e2fsprogs" },
    Needed { program: "losetup", package: "mount" },
];

pub(super) fn run() -> Result<Tally> {
    install(NEEDED)?;
    counted(cargo().args(["test", "--workspace", "--no-fail-fast", "--quiet"]))
}
