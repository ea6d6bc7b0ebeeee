//! The chart: helm's own judgement, golden manifests, what is refused, what a real API server takes, and an installation
//! whose containers run as processes.

use anyhow::{Context, Result};

use super::{api, counted};
use crate::binaries::{self, BINARIES};
use crate::go_tools::HELM;
use crate::machine::install;
use crate::tally::Tally;
use crate::test_programs::TestPrograms;

/// The name of these tests' target.
pub(super) const TARGET: &str = "chart";

pub(super) fn run(programs: &TestPrograms) -> Result<Tally> {
    install(api::NEEDED)?;
    let (kubernetes, helm) = (api::tools()?, HELM.build()?);
    let folders = std::env::split_paths(&kubernetes).chain([helm]);
    let tools = std::env::join_paths(folders).context("the cache's path has a colon")?;
    let mut test = programs.test("scenarios", TARGET)?.command();
    counted(test.env(api::TOOLS, tools).env(BINARIES, binaries::release()?))
}
