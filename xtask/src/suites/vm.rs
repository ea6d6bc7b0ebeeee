//! Real kernels in guests. Where guests cannot run these fail; nothing is skipped.

mod emulator;

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use super::lanes::side_by_side;
use super::{GUESTS, api, counted, counted_seeing};
use crate::binaries::{self, BINARIES};
use crate::machine::install;
use crate::tally::Tally;
use crate::test_programs::{TestProgram, TestPrograms};
use emulator::Failures;

/// The name of these tests' target in every crate.
pub(super) const TARGET: &str = "vm";

/// The crates that have tests in guests, in lanes that run side by side: guests mostly wait, for timeouts of their kernels.
const LANES: &[&[&str]] = &[&["scenarios"], &["microvm", "routeros-sim"]];

/// The module of what takes too long for every run: the suite `outages`.
const BY_HAND: &str = "by_hand::";

pub(super) fn run(programs: &TestPrograms) -> Result<Tally> {
    let variables = variables()?;
    let lane = |crates: &[&str]| {
        let mut tally = Tally::default();
        for name in crates {
            println!("-- guests of {name}");
            tally += guests_of(programs.test(name, TARGET)?, &variables)?;
        }
        Ok(tally)
    };
    side_by_side(LANES.iter().map(|crates| move || lane(crates)))
}

/// Long outages, and many volumes of which some hang.
pub(super) fn run_by_hand(programs: &TestPrograms) -> Result<Tally> {
    let mut tests = programs.test("scenarios", TARGET)?.command();
    counted(tests.args(["--test-threads=1", "--nocapture", BY_HAND]).envs(variables()?))
}

/// What tests in guests are told by their environment.
pub(super) fn variables() -> Result<[(&'static str, OsString); 2]> {
    install(GUESTS)?;
    install(api::NEEDED)?;
    Ok([(api::TOOLS, api::tools()?), (BINARIES, binaries::release()?.into())])
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
    test.args(["--test-threads=1", "--skip", BY_HAND])
        .envs(variables.iter().map(|(name, value)| (name, value)));
    if !only.is_empty() {
        test.arg("--exact").args(only);
    }
    test
}
