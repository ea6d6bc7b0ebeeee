//! A real control plane on loopback, with the real sidecars calling the driver.

use std::ffi::OsString;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, anyhow};

use super::counted;
use crate::binaries::{self, BINARIES};
use crate::go_tools::CONTROL_PLANE;
use crate::machine::{Needed, install};
use crate::tally::Tally;
use crate::test_programs::TestPrograms;

/// The variable that tells the crate `testbed` where the programs of Kubernetes are.
pub(super) const TOOLS: &str = "TESTBED_TOOLS";

/// What ends the programs with their test.
pub(super) const NEEDED: &[Needed] = &[Needed { program: "setpriv", package: "util-linux" }];

/// The name of these tests' target in every crate.
pub(super) const TARGET: &str = "api";

/// What runs side by side: a crate's tests, or those of it that are named. They mostly wait, for leases, settles and
/// deadlines. Within a part they share clusters, one test after the other.
const PARTS: &[(&str, &[&str])] = &[
    ("scenarios", &["failover::"]),
    ("scenarios", &["leadership::", "rebuild::"]),
    ("scenarios", &["migration"]),
    ("kubernetes", &[]),
];

/// Runs beside them: the crate of which some tests are named above with all its others, and before it the smallest.
const REST: &[&str] = &["testbed", "scenarios"];

pub(super) fn run(programs: &TestPrograms) -> Result<Tally> {
    install(NEEDED)?;
    let (tools, folder) = (tools()?, binaries::release()?);
    println!("-- {TOOLS}={} {BINARIES}={}", tools.display(), folder.display());
    let test = |name: &str| -> Result<Command> {
        let mut test = programs.test(name, TARGET)?.command();
        test.arg("--test-threads=1").env(TOOLS, &tools).env(BINARIES, &folder);
        Ok(test)
    };
    println!("-- the API, {} parts side by side", PARTS.len() + 1);
    let part = |(name, filter): (&str, &[&str])| counted(test(name)?.args(filter));
    let skips: Vec<_> =
        PARTS.iter().flat_map(|(_, filter)| *filter).flat_map(|name| ["--skip", name]).collect();
    thread::scope(|scope| {
        let parts: Vec<_> = PARTS.iter().map(|part_of| scope.spawn(|| part(*part_of))).collect();
        let mut tally = Tally::default();
        for name in REST {
            tally += part((name, &skips))?;
        }
        for part in parts {
            tally += part.join().map_err(|_| anyhow!("a part's thread panicked"))??;
        }
        Ok(tally)
    })
}

/// The folders of the programs of Kubernetes, as a list for a variable.
pub(super) fn tools() -> Result<OsString> {
    let folders = CONTROL_PLANE.iter().map(|module| module.build()).collect::<Result<Vec<_>>>()?;
    std::env::join_paths(folders).context("the cache's path has a colon")
}
