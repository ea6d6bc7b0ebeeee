//! Real kernels in guests. Where guests cannot run these fail; nothing is skipped.

use anyhow::Result;

use super::{GUESTS, counted};
use crate::binaries::{self, BINARIES};
use crate::machine::install;
use crate::process::cargo;
use crate::tally::Tally;

/// The crates that have tests in guests, from the bottom up.
const CRATES: &[&str] = &["microvm", "routeros-sim", "scenarios"];

pub(super) fn run() -> Result<Tally> {
    install(GUESTS)?;
    let folder = binaries::release()?;
    let mut tally = Tally::default();
    for name in CRATES {
        println!("-- guests of {name}");
        let test = &mut cargo();
        test.args([
            "test",
            "-p",
            name,
            "--features",
            "vm",
            "--test",
            "vm",
            "--no-fail-fast",
            "--",
            "--test-threads=1",
        ]);
        tally += counted(test.env(BINARIES, &folder))?;
    }
    Ok(tally)
}
