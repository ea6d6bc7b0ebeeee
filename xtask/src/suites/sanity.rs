//! csi-sanity against the shipped binary: the controller here, the node in a guest.

use anyhow::Result;

use super::{GUESTS, counted};
use crate::binaries::{self, BINARIES};
use crate::go_tools::CSI_SANITY;
use crate::machine::install;
use crate::process::cargo;
use crate::tally::Tally;

pub(super) fn run() -> Result<Tally> {
    install(GUESTS)?;
    let (sanity, folder) = (CSI_SANITY.build()?.join("csi-sanity"), binaries::release()?);
    let run = &mut cargo();
    run.args(["run", "--quiet", "-p", "scenarios", "--bin", "sanity"]);
    counted(run.env(BINARIES, folder).env("CSI_SANITY", sanity))
}
