//! A real control plane on loopback, with the real sidecars calling the driver.

use std::ffi::OsString;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, anyhow};

use super::counted;
use crate::binaries::{self, BINARIES};
use crate::go_tools::CONTROL_PLANE;
use crate::machine::{Needed, install};
use crate::process::{cargo, run as run_command};
use crate::tally::Tally;

/// The variable that tells the crate `testbed` where the programs of Kubernetes are.
pub(super) const TOOLS: &str = "TESTBED_TOOLS";

/// What ends the programs with their test.
pub(super) const NEEDED: &[Needed] = &[Needed { program: "setpriv", package: "util-linux" }];

/// The crates that have tests with a control plane, from the bottom up.
const CRATES: &[&str] = &["testbed", "kubernetes"];

/// Tests of `scenarios` that run at the same time as each other and as all the rest: they mostly wait for leases,
/// settles and deadlines. Within a part they share clusters, one test after the other.
const SIDE_BY_SIDE: &[&[&str]] = &[&["failover::"], &["leadership::", "rebuild::"], &["migration"]];

pub(super) fn run() -> Result<Tally> {
    install(NEEDED)?;
    let (tools, folder) = (tools()?, binaries::release()?);
    println!("-- {TOOLS}={} {BINARIES}={}", tools.display(), folder.display());
    let test = |name: &str| {
        let mut test = cargo();
        test.args(["test", "-p", name, "--features", "api", "--test", "api", "--no-fail-fast"]);
        test.env(TOOLS, &tools).env(BINARIES, &folder);
        test
    };
    let mut tally = Tally::default();
    for name in CRATES {
        println!("-- the API with {name}");
        tally += counted(test(name).args(["--", "--test-threads=1"]))?;
    }
    println!("-- the API with scenarios, {} parts side by side", SIDE_BY_SIDE.len() + 1);
    run_command(test("scenarios").arg("--no-run"))?;
    for part in side_by_side(|| test("scenarios"))? {
        tally += part;
    }
    Ok(tally)
}

/// Runs each part in a process of its own, and all others in one more.
fn side_by_side(test: impl Fn() -> Command + Sync) -> Result<Vec<Tally>> {
    let part = |filter: &[&str]| counted(test().args(["--", "--test-threads=1"]).args(filter));
    let skips: Vec<_> = SIDE_BY_SIDE.iter().copied().flatten().flat_map(|name| ["--skip", name]).collect();
    thread::scope(|scope| {
        let parts: Vec<_> = SIDE_BY_SIDE.iter().map(|filter| scope.spawn(|| part(filter))).collect();
        let rest = part(&skips);
        let parts =
            parts.into_iter().map(|part| part.join().map_err(|_| anyhow!("a part's thread panicked"))?);
        parts.chain([rest]).collect()
    })
}

/// The folders of the programs of Kubernetes, as a list for a variable.
pub(super) fn tools() -> Result<OsString> {
    let folders = CONTROL_PLANE.iter().map(|module| module.build()).collect::<Result<Vec<_>>>()?;
    std::env::join_paths(folders).context("the cache's path has a colon")
}
