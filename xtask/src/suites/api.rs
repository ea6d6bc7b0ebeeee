//! A real control plane on loopback, with the real sidecars calling the driver.

use std::ffi::OsString;

use anyhow::{Context, Result};

use super::counted;
use crate::binaries::{self, BINARIES};
use crate::go_tools::CONTROL_PLANE;
use crate::machine::{Needed, install};
use crate::process::cargo;
use crate::tally::Tally;

/// The variable that tells the crate `testbed` where the programs of Kubernetes are.
pub(super) const TOOLS: &str = "TESTBED_TOOLS";

/// What ends the programs with their test.
pub(super) const NEEDED: &[Needed] = &[Needed { program: "setpriv", package: "util-linux" }];

/// The crates that have tests with a control plane, from the bottom up.
const CRATES: &[&str] = &["testbed", "kubernetes", "scenarios"];

pub(super) fn run() -> Result<Tally> {
    install(NEEDED)?;
    let (tools, folder) = (tools()?, binaries::release()?);
    println!("-- {TOOLS}={} {BINARIES}={}", tools.display(), folder.display());
    let mut tally = Tally::default();
    for name in CRATES {
        println!("-- the API with {name}");
        let test = &mut cargo();
        test.args(["test", "-p", name, "--features", "api", "--test", "api", "--no-fail-fast", "--"]);
        test.arg("--test-threads=1").env(TOOLS, &tools).env(BINARIES, &folder);
        tally += counted(test)?;
    }
    Ok(tally)
}

/// The folders of the programs of Kubernetes, as a list for a variable.
pub(super) fn tools() -> Result<OsString> {
    let folders = CONTROL_PLANE.iter().map(|module| module.build()).collect::<Result<Vec<_>>>()?;
    std::env::join_paths(folders).context("the cache's path has a colon")
}
