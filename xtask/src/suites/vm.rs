//! Real kernels in guests. Where guests cannot run these fail; nothing is skipped.

pub(super) mod emulator;

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use super::lanes::side_by_side;
use super::{GUESTS, api, chaos, counted, counted_seeing};
use crate::binaries::{self, BINARIES};
use crate::machine::install;
use crate::tally::Tally;
use crate::test_programs::{TestProgram, TestPrograms};
use emulator::Failures;

/// By name.
pub(super) type Variables = [(&'static str, OsString); 2];

/// The name of these tests' target in every crate.
pub(super) const TARGET: &str = "vm";

/// What runs in guests.
enum Part {
    /// A crate's tests.
    Tests(&'static str),
    /// A short schedule of chaos.
    Chaos,
}

/// Lanes that run side by side: guests mostly wait, for timeouts of their kernels.
const LANES: &[&[Part]] =
    &[&[Part::Tests("scenarios")], &[Part::Tests("microvm"), Part::Tests("routeros-sim"), Part::Chaos]];

/// The module of what takes too long for every run: the suite `outages`.
const BY_HAND: &str = "by_hand::";

pub(super) fn run(programs: &TestPrograms) -> Result<Tally> {
    let variables = variables()?;
    let part = |part: &Part| match part {
        Part::Tests(name) => {
            println!("-- guests of {name}");
            guests_of(programs.test(name, TARGET)?, &variables)
        }
        Part::Chaos => chaos::short(programs, &variables),
    };
    let lane = |parts: &[Part]| {
        let mut tally = Tally::default();
        for each in parts {
            tally += part(each)?;
        }
        Ok(tally)
    };
    side_by_side(LANES.iter().map(|parts| move || lane(parts)))
}

/// Long outages, and many volumes of which some hang.
pub(super) fn run_by_hand(programs: &TestPrograms) -> Result<Tally> {
    let mut tests = programs.test("scenarios", TARGET)?.command();
    counted(tests.args(["--test-threads=1", "--nocapture", BY_HAND]).envs(variables()?))
}

/// What tests in guests are told by their environment.
pub(super) fn variables() -> Result<Variables> {
    install(GUESTS)?;
    install(api::NEEDED)?;
    Ok([(api::TOOLS, api::tools()?), (BINARIES, binaries::release()?.into())])
}

/// One crate's tests in guests. Where the emulator itself crashed a guest, the tests that failed run once more.
fn guests_of(program: &TestProgram, variables: &Variables) -> Result<Tally> {
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
fn tests(program: &TestProgram, variables: &Variables, only: &[String]) -> Command {
    let mut test = program.command();
    test.args(["--test-threads=1", "--skip", BY_HAND]).envs(variables.clone());
    if !only.is_empty() {
        test.arg("--exact").args(only);
    }
    test
}
