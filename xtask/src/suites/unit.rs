//! Everything that needs no guest: pure functions, client and simulator, the system in one process.

use anyhow::Result;

use super::{api, chart, cluster, counted, vm};
use crate::machine::{Needed, install, unpack};
use crate::process::cargo;
use crate::tally::Tally;
use crate::test_programs::TestPrograms;

/// Tests of mounts and file systems run on loop devices of this machine.
const NEEDED: &[Needed] = &[
    Needed { program: "mkfs.xfs", package: "xfsprogs" },
    Needed { program: "mkfs.ext4", package: "e2fsprogs" },
    Needed { program: "losetup", package: "mount" },
];

/// Lints what the binary shows to scrapers. Its package brings the server as a service, hence not installed.
const PROMTOOL: &Needed = &Needed { program: "promtool", package: "prometheus" };

/// The targets that are suites of their own.
const OTHERS: &[&str] = &[api::TARGET, vm::TARGET, chart::TARGET, cluster::TARGET];

pub(super) fn run(programs: &TestPrograms) -> Result<Tally> {
    install(NEEDED)?;
    unpack(PROMTOOL)?;
    let mut tally = Tally::default();
    for test in programs.tests().filter(|test| !OTHERS.contains(&test.target())) {
        println!("-- {}", test.target());
        tally += counted(test.command().arg("--quiet"))?;
    }
    tally += counted(cargo().args(["test", "--doc", "--workspace", "--all-features", "--quiet"]))?;
    Ok(tally)
}
