//! A device and three nodes under whatever can happen to them, drawn from a seed. By hand, for as long as wanted, and a few
//! minutes of it among the guests of every run.

use anyhow::Result;

use super::vm::emulator::is_double_fault;
use super::vm::{self, Variables};
use super::{counted, counted_seeing};
use crate::tally::Tally;
use crate::test_programs::TestPrograms;

/// Its first minutes have forced moves, a cut link, kills, a power cut and replies that are lost.
const SHORT: [&str; 4] = ["--seed", "161", "--minutes", "2"];

/// The arguments are the program's: `--seed N`, `--minutes M`, `--kernel 6.1`.
pub(super) fn run(programs: &TestPrograms, arguments: &[String]) -> Result<Tally> {
    let run = &mut programs.binary("chaos")?.command();
    counted(run.args(arguments).envs(vm::variables()?))
}

/// The same few minutes each time; once more where the emulator crashed a guest.
pub(super) fn short(programs: &TestPrograms, variables: &Variables) -> Result<Tally> {
    let once = || -> Result<_> {
        let run = &mut programs.binary("chaos")?.command();
        let mut crashed = false;
        let tally =
            counted_seeing(run.args(SHORT).envs(variables.clone()), |line| crashed |= is_double_fault(line))?;
        Ok((tally, crashed))
    };
    println!("-- guests of chaos");
    match once()? {
        (tally, true) if !tally.is_green() => {
            println!("-- the emulator crashed a guest (double fault); chaos once more");
            Ok(once()?.0)
        }
        (tally, _) => Ok(tally),
    }
}
