//! csi-sanity against the shipped binary: the controller here, the node in a guest.

use anyhow::Result;

use super::{GUESTS, counted};
use crate::binaries::{self, BINARIES};
use crate::machine::{Needed, install};
use crate::process::cargo;
use crate::tally::Tally;

const GO: &[Needed] = &[Needed { program: "go", package: "golang-go" }];

pub(super) fn run() -> Result<Tally> {
    install(GO)?;
    install(GUESTS)?;
    let (sanity, folder) = (binaries::csi_sanity()?, binaries::release()?);
    let run = &mut cargo();
    run.args(["run", "--quiet", "-p", "scenarios", "--bin", "sanity"]);
    counted(run.env(BINARIES, folder).env("CSI_SANITY", sanity))
}
