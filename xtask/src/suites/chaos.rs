//! A device and three nodes under whatever can happen to them, drawn from a seed. By hand, for as long as wanted.

use anyhow::Result;

use super::{counted, vm};
use crate::tally::Tally;
use crate::test_programs::TestPrograms;

/// The arguments are the program's: `--seed N`, `--minutes M`, `--kernel 6.1`.
pub(super) fn run(programs: &TestPrograms, arguments: &[String]) -> Result<Tally> {
    let run = &mut programs.binary("chaos")?.command();
    counted(run.args(arguments).envs(vm::variables()?))
}
