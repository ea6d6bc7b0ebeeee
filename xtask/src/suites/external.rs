//! Kubernetes' own external storage suite against the driver in a whole cluster.

use anyhow::{Context, Result};

use super::{GUESTS, api, cluster, counted};
use crate::binaries::{self, BINARIES};
use crate::go_tools::E2E;
use crate::image::{self, IMAGE};
use crate::machine::install;
use crate::process::{self, cargo, with_no_way_out};
use crate::tally::Tally;

/// The program that boots the cluster and runs the suite.
const PROGRAM: &str = "external";

/// Runs the specs that the arguments choose; all that the driver's file selects without one.
pub(super) fn run(arguments: &[String]) -> Result<Tally> {
    install(GUESTS)?;
    install(api::NEEDED)?;
    install(cluster::ALONE)?;
    let built = std::env::split_paths(&cluster::tools()?).chain([E2E.build()?]).collect::<Vec<_>>();
    let tools = std::env::join_paths(built).context("the cache's path has a colon")?;
    let (folder, image) = (binaries::release()?, image::of_the_release()?);
    println!("building the suite's runner");
    process::run(cargo().args(["build", "--quiet", "-p", "scenarios", "--bin", PROGRAM]))?;
    let program = binaries::target()?.join("debug").join(PROGRAM);
    let suite = &mut std::process::Command::new(program);
    suite.args(arguments).env(api::TOOLS, tools).env(BINARIES, folder).env(IMAGE, image);
    counted(&mut with_no_way_out(suite))
}
