//! A device and three nodes under whatever can happen to them, drawn from a seed. By hand, for as long as wanted, and a few
//! minutes of it among the guests of every run.

use anyhow::Result;

use super::counted;
use super::emulator;
use super::vm::{self, Variables};
use crate::tally::Tally;
use crate::test_programs::TestPrograms;

/// Its first minutes have forced moves, a cut link, kills, a power cut and replies that are lost.
const SHORT: [&str; 4] = ["--seed", "161", "--minutes", "2"];
/// The arguments are the program's: `--seed N`, `--minutes M`, `--kernel 6.1`.
pub(super) fn run(programs: &TestPrograms, arguments: &[String]) -> Result<Tally> {
    let run = &mut programs.binary("chaos")?.command();
    counted(run.args(arguments).envs(vm::variables()?))
}

/// The same few minutes each time; again where the emulator crashed one of its guests.
pub(super) fn short(programs: &TestPrograms, variables: &Variables) -> Result<Tally> {
    println!("-- guests of chaos");
    emulator::repeated("chaos", || {
        let mut run = programs.binary("chaos")?.command();
        run.args(SHORT).envs(variables.clone());
        Ok(run)
    })
}
