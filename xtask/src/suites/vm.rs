//! Real kernels in guests. Where guests cannot run these fail; nothing is skipped.

use std::ffi::OsString;

use anyhow::Result;

use super::emulator::{self, Attempt};
use super::lanes::{Part, filter, in_turn, side_by_side};
use super::{GUESTS, api, chaos, counted};
use crate::binaries::{self, BINARIES};
use crate::machine::install;
use crate::tally::Tally;
use crate::test_programs::TestPrograms;

/// By name.
pub(super) type Variables = [(&'static str, OsString); 2];

/// The name of these tests' target in every crate.
pub(super) const TARGET: &str = "vm";

/// Lanes that run side by side: guests mostly wait, for timeouts of their kernels. What has guests of its own, not those that
/// tests share, is where there is time; chaos follows the second lane.
const LANES: [&[Part]; 2] = [
    &[("scenarios", &[])],
    &[
        ("microvm", &["ending::", "linux_6_12::"]),
        ("routeros-sim", &[]),
        ("scenarios", &["events::", "migration::", "unasked::"]),
    ],
];

/// The crate's tests on the older kernel, which those of `scenarios` use all the time: with what takes too long.
const LAB_ON_6_1: Part = ("microvm", &["linux_6_1::"]);

/// The module of what takes too long for every run: the suite `outages`.
const BY_HAND: &str = "by_hand::";

/// Its tests by kernel, as libtest is told, side by side.
const BY_HAND_LANES: [&[&str]; 2] =
    [&["_on_linux_6_12"], &[BY_HAND, "--skip", "_on_linux_6_12", "--skip", MANY]];

/// What compares times of many volumes has the machine to itself.
const MANY: &str = "hang_in_the_kernel_and_the_others_go_on";

pub(super) fn run(programs: &TestPrograms) -> Result<Tally> {
    let variables = variables()?;
    let tests = |part: &Part| {
        println!("-- guests of {} {}", part.0, part.1.join(" "));
        guests_of(programs, part, &variables)
    };
    let with_chaos = || {
        let mut tally = in_turn(LANES[1], tests)?;
        tally += chaos::short(programs, &variables)?;
        Ok(tally)
    };
    let lanes: [&(dyn Fn() -> Result<Tally> + Sync); 2] = [&|| in_turn(LANES[0], tests), &with_chaos];
    side_by_side(lanes)
}

/// Long outages, and many volumes of which some hang.
pub(super) fn run_by_hand(programs: &TestPrograms) -> Result<Tally> {
    let variables = variables()?;
    let tests = |(of, filters): Part| -> Result<Tally> {
        let mut tests = programs.test(of, TARGET)?.command();
        counted(tests.args(["--test-threads=1", "--nocapture"]).args(filters).envs(variables.clone()))
    };
    let mut tally = tests(("scenarios", &[MANY]))?;
    tally += side_by_side(BY_HAND_LANES.map(|filters| move || tests(("scenarios", filters))))?;
    tally += tests(LAB_ON_6_1)?;
    Ok(tally)
}

/// What tests in guests are told by their environment.
pub(super) fn variables() -> Result<Variables> {
    install(GUESTS)?;
    install(api::NEEDED)?;
    Ok([(api::TOOLS, api::tools()?), (BINARIES, binaries::release()?.into())])
}

/// A part's tests in guests. Where the emulator itself crashed a guest, the tests that failed run once more: all of them,
/// since guests are shared between tests.
fn guests_of(programs: &TestPrograms, part: &Part, variables: &Variables) -> Result<Tally> {
    let tests = |arguments: &[&str]| -> Result<Attempt> {
        let mut tests = programs.test(part.0, TARGET)?.command();
        tests.args(["--test-threads=1", "--skip", BY_HAND]).args(arguments).envs(variables.clone());
        emulator::attempt(&mut tests)
    };
    let mut all = tests(&filter(part, LANES.into_iter().flatten()))?;
    for _ in 1..emulator::TRIES {
        let failed = all.tally.failures.tests().to_vec();
        if !all.crashed || failed.is_empty() {
            break;
        }
        println!("{}: {}", emulator::ONCE_MORE, failed.join(", "));
        let exact = ["--exact"].into_iter().chain(failed.iter().map(String::as_str)).collect::<Vec<_>>();
        let again = tests(&exact)?;
        all.tally.failed = all.tally.failed.saturating_sub(failed.len() as u64);
        all.tally.failures.forget();
        all.tally += again.tally;
        all.crashed = again.crashed;
    }
    Ok(all.tally)
}
