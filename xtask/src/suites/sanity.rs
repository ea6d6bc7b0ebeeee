//! csi-sanity against the shipped binary: the controller here, the node in a guest.

use anyhow::Result;

use super::GUESTS;
use super::emulator;
use crate::binaries::{self, BINARIES};
use crate::go_tools::CSI_SANITY;
use crate::machine::install;
use crate::tally::Tally;
use crate::test_programs::TestPrograms;

pub(super) fn run(programs: &TestPrograms) -> Result<Tally> {
    install(GUESTS)?;
    let (sanity, folder) = (CSI_SANITY.build()?.join("csi-sanity"), binaries::release()?);
    emulator::repeated("csi-sanity", || {
        let mut run = programs.binary("sanity")?.command();
        run.env(BINARIES, &folder).env("CSI_SANITY", &sanity);
        Ok(run)
    })
}
