//! A real control plane on loopback, with the real sidecars calling the driver.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};

use super::counted;
use super::lanes::side_by_side;
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

/// A crate's tests: those of these names, or without any all that are named nowhere.
type Part = (&'static str, &'static [&'static str]);

/// Chains of parts that run side by side, cut so that they take about as long as each other. They mostly wait, for leases,
/// settles and deadlines. Within a part tests share clusters, one after the other.
const CHAINS: &[&[Part]] = &[
    &[("scenarios", &["failover::"])],
    &[("scenarios", &["leadership::", "rebuild::"])],
    &[("scenarios", &["migration"])],
    &[("kubernetes", &[]), ("scenarios", &["outages::", "provisioning::"])],
    &[("testbed", &[]), ("scenarios", &[])],
];

pub(super) fn run(programs: &TestPrograms) -> Result<Tally> {
    install(NEEDED)?;
    let (tools, folder) = (tools()?, binaries::release()?);
    println!("-- {TOOLS}={} {BINARIES}={}", tools.display(), folder.display());
    let test = |name: &str| -> Result<Command> {
        let mut test = programs.test(name, TARGET)?.command();
        test.arg("--test-threads=1").env(TOOLS, &tools).env(BINARIES, &folder);
        Ok(test)
    };
    println!("-- the API, {} chains side by side", CHAINS.len());
    let part = |(name, filter): &Part| match *filter {
        [] => counted(test(name)?.args(named_elsewhere(name).flat_map(|name| ["--skip", name]))),
        filter => counted(test(name)?.args(filter)),
    };
    let chain = |parts: &[Part]| {
        let mut tally = Tally::default();
        for each in parts {
            tally += part(each)?;
        }
        Ok(tally)
    };
    side_by_side(CHAINS.iter().map(|parts| move || chain(parts)))
}

/// The names that parts of a crate have.
fn named_elsewhere(of: &str) -> impl Iterator<Item = &'static str> {
    let parts = CHAINS.iter().flat_map(|parts| *parts).filter(move |(name, _)| *name == of);
    parts.flat_map(|(_, names)| names.iter().copied())
}

/// The folders of the programs of Kubernetes, as a list for a variable.
pub(super) fn tools() -> Result<OsString> {
    let folders = CONTROL_PLANE.iter().map(|module| module.build()).collect::<Result<Vec<_>>>()?;
    std::env::join_paths(folders).context("the cache's path has a colon")
}
