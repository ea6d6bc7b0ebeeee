//! Kubernetes' own external storage suite against the driver in a whole cluster.

use std::process::Command;

use anyhow::{Context, Result};

use super::emulator;
use super::{GUESTS, api, cluster};
use crate::binaries;
use crate::go_tools::E2E;
use crate::machine::install;
use crate::process::{self, cargo};
use crate::tally::Tally;

/// The program that boots the cluster and runs the suite.
const PROGRAM: &str = "external";

/// Runs the specs that the arguments choose; the dozen of deploy/e2e/chosen.txt without one.
pub(super) fn run(arguments: &[String]) -> Result<Tally> {
    install(GUESTS)?;
    install(api::NEEDED)?;
    install(cluster::ALONE)?;
    let built = std::env::split_paths(&cluster::tools()?).chain([E2E.build()?]).collect::<Vec<_>>();
    let tools = std::env::join_paths(built).context("the cache's path has a colon")?;
    println!("building the suite's runner");
    let names = [cluster::PREPARE, PROGRAM];
    let bins = names.map(|name| format!("--bin={name}"));
    process::run(cargo().args(["build", "--quiet", "-p", "scenarios"]).args(bins))?;
    let folder = binaries::target()?.join("debug");
    emulator::repeated("the cluster", || {
        let [prepare, mut suite] = names.map(|name| Command::new(folder.join(name)));
        suite.args(arguments);
        cluster::alone(prepare, suite, &tools)
    })
}
