//! A whole cluster: a real control plane, and nodes with real kubelets in guests. By hand, for its time.

use std::ffi::OsString;

use anyhow::{Context, Result};

use super::{GUESTS, api, counted};
use crate::binaries::{self, BINARIES};
use crate::go_tools::NODE;
use crate::machine::install;
use crate::tally::Tally;
use crate::test_programs::TestPrograms;

/// The name of these tests' target.
pub(super) const TARGET: &str = "cluster";

/// One test after the other: each has as many guests as two cores bear.
pub(super) fn run(programs: &TestPrograms) -> Result<Tally> {
    install(GUESTS)?;
    install(api::NEEDED)?;
    let (tools, folder) = (tools()?, binaries::release()?);
    println!("-- a claim's life, step by step");
    let life = &mut programs.binary("demo_cluster")?.command();
    let mut tally = counted(life.env(api::TOOLS, &tools).env(BINARIES, &folder))?;
    println!("-- nodes and their pods");
    let nodes = &mut programs.test("scenarios", TARGET)?.command();
    tally += counted(
        nodes.args(["--test-threads=1", "--nocapture"]).env(api::TOOLS, tools).env(BINARIES, folder),
    )?;
    Ok(tally)
}

/// The folders of the programs of the control plane and of nodes.
pub(super) fn tools() -> Result<OsString> {
    let control_plane = api::tools()?;
    let nodes = NODE.iter().map(|module| module.build()).collect::<Result<Vec<_>>>()?;
    let all = std::env::split_paths(&control_plane).chain(nodes);
    std::env::join_paths(all).context("the cache's path has a colon")
}
