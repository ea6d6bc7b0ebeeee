//! Real kernels in guests. Where guests cannot run these fail; nothing is skipped.

mod emulator;

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use super::{GUESTS, api, counted_seeing};
use crate::binaries::{self, BINARIES};
use crate::machine::install;
use crate::tally::Tally;
use crate::test_programs::{TestProgram, TestPrograms};
use emulator::Failures;

/// The name of these tests' target in every crate.
pub(super) const TARGET: &str = "vm";

/// The crates that have tests in guests, from the bottom up.
const CRATES: &[&str] = &["microvm", "routeros-sim", "scenarios"];

pub(super) fn run(programs: &TestPrograms) -> Result<Tally> {
    install(GUESTS)?;
    install(api::NEEDED)?;
    let variables = [(api::TOOLS, api::tools()?), (BINARIES, binaries::release()?.into())];
    let mut tally = Tally::default();
    for name in CRATES {
        println!("-- guests of {name}");
        tally += guests_of(programs.test(name, TARGET)?, &variables)?;
    }
    Ok(tally)
}

/// One crate's tests in guests. Where the emulator itself crashed a guest, the tests that failed run once more.
fn guests_of(program: &TestProgram, variables: &[(&str, OsString)]) -> Result<Tally> {
    let mut failures = Failures::default();
    let mut tally = counted_seeing(&mut tests(program, variables, &[]), |line| failures.see(line))?;
    if let Some(failed) = failures.by_the_emulator() {
        println!("-- the emulator crashed a guest (double fault); once more: {}", failed.join(", "));
        let again = counted_seeing(&mut tests(program, variables, &failed), |_| ())?;
        tally.failed = tally.failed.saturating_sub(failed.len() as u64);
        tally += again;
    }
    Ok(tally)
}

/// The command of all tests, or of those with these names.
fn tests(program: &TestProgram, variables: &[(&str, OsString)], only: &[String]) -> Command {
    let mut test = program.command();
    test.arg("--test-threads=1").envs(variables.iter().map(|(name, value)| (name, value)));
    if !only.is_empty() {
        test.arg("--exact").args(only);
    }
    test
}
