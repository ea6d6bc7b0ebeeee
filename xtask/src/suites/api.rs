//! A real control plane on loopback, with the real sidecars calling the driver.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};

use super::counted;
use super::lanes::{Part, filter, in_turn, side_by_side};
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

/// Lanes that run side by side, cut so that they take about as long as each other. They mostly wait, for leases,
/// settles and deadlines. Within a part tests share clusters, one after the other.
const LANES: &[&[Part]] = &[
    &[("scenarios", &["failover::where_"]), ("kubernetes", &[])],
    &[("scenarios", &["failover::a_", "failover::when_"]), ("scenarios", &["outages::"])],
    &[("scenarios", &["leadership::", "rebuild::"])],
    &[("scenarios", &["migration::", "migration_forced_off::", "provisioning::"])],
    &[("scenarios", &["migration_refused::"]), ("testbed", &[])],
    &[("scenarios", &[])],
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
    println!("-- the API, {} lanes side by side", LANES.len());
    let part = |part: &Part| counted(test(part.0)?.args(filter(part, LANES.iter().copied().flatten())));
    side_by_side(LANES.iter().map(|parts| move || in_turn(parts, part)))
}

/// The folders of the programs of Kubernetes, as a list for a variable.
pub(super) fn tools() -> Result<OsString> {
    let folders = CONTROL_PLANE.iter().map(|module| module.build()).collect::<Result<Vec<_>>>()?;
    std::env::join_paths(folders).context("the cache's path has a colon")
}
