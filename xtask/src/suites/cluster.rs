//! A whole cluster: a real control plane, nodes with real kubelets in guests, and the image and chart that ship. By hand,
//! for its time.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use anyhow::{Context, Result};

use super::{GUESTS, api, counted};
use crate::binaries::{self, BINARIES};
use crate::go_tools::{HELM, NODE};
use crate::image::{self, IMAGE};
use crate::machine::{Needed, install, unpack};
use crate::process::{self, with_no_way_out};
use crate::tally::Tally;
use crate::test_programs::TestPrograms;

/// The name of these tests' target.
pub(super) const TARGET: &str = "cluster";
/// The program that has the cache filled first, with what comes from elsewhere.
pub(super) const PREPARE: &str = "prepare";

/// The stories with these names, or all, in clusters that are booted once for as many as bear it.
pub(super) fn run(programs: &TestPrograms, stories: &[String]) -> Result<Tally> {
    install(GUESTS)?;
    install(api::NEEDED)?;
    install(ALONE)?;
    let [prepare, mut told] =
        [programs.binary(PREPARE)?.command(), programs.test("scenarios", TARGET)?.command()];
    told.args(stories);
    counted(&mut alone(prepare, told, &tools()?)?)
}

/// A program that boots clusters, in a network of its own; what they are made of is fetched before by the other.
pub(super) fn alone(mut prepare: Command, mut program: Command, tools: &OsStr) -> Result<Command> {
    let (folder, image) = (binaries::release()?, image::of_the_release()?);
    for each in [&mut prepare, &mut program] {
        each.env(api::TOOLS, tools).env(BINARIES, &folder).env(IMAGE, &image);
    }
    process::run(&mut prepare)?;
    Ok(with_no_way_out(&program))
}

/// What a cluster's own network namespace is made with.
pub(super) const ALONE: &[Needed] =
    &[Needed { program: "unshare", package: "util-linux" }, Needed { program: "ip", package: "iproute2" }];

/// What scrapes the driver. Its package brings the server as a service, hence not installed.
const PROMETHEUS: [Needed; 2] = [
    Needed { program: "prometheus", package: "prometheus" },
    Needed { program: "promtool", package: "prometheus" },
];

/// The folders of all programs that a cluster is made of.
pub(super) fn tools() -> Result<OsString> {
    let control_plane = api::tools()?;
    let mut folders = NODE.iter().chain([&HELM]).map(|module| module.build()).collect::<Result<Vec<_>>>()?;
    for needed in &PROMETHEUS {
        folders.push(unpack(needed)?);
    }
    folders.dedup();
    let all = std::env::split_paths(&control_plane).chain(folders);
    std::env::join_paths(all).context("the cache's path has a colon")
}
