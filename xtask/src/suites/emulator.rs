//! Telling a crash that the emulator made from a failure of ours.
//!
//! QEMU 7.2, as Debian 12 has it, now and then (seen: once in some hundred guests) delivers an interrupt with a
//! flags register that holds part of a pointer; the guest's kernel then dies of a double fault, or of what it read or wrote
//! next, with our code not running. Nothing that a driver or a target does through system calls makes a double fault, or
//! sets a flag that no processor has, so a test that failed beside one says nothing and is run once more. Every other crash of
//! a guest's kernel is a finding.

use std::process::Command;

use anyhow::Result;

use crate::suites::counted_seeing;
use crate::tally::Tally;

/// How often in all: twice in a row was seen once.
pub(super) const TRIES: u32 = 3;

/// What is said of a run that is repeated for it.
pub(super) const ONCE_MORE: &str =
    "-- the emulator crashed a guest (flags that no processor has, or a double fault); once more";

/// What the console of such a guest says.
const DOUBLE_FAULT: &str = "traps: PANIC: double fault";
/// What the kernel prints before the flags of a processor that failed, in hexadecimal digits.
const FLAGS: &str = " EFLAGS: ";
/// These are zero in every processor (Intel SDM, volume 1, 3.4.3).
const RESERVED_FLAGS: u64 = !0x003f_ffff;

/// A run of guests.
pub(super) struct Attempt {
    pub(super) tally: Tally,
    /// Whether the emulator crashed one of them.
    pub(super) crashed: bool,
}

/// Runs a command that boots guests, again as a whole where the emulator crashed one.
pub(super) fn repeated(what: &str, command: impl Fn() -> Result<Command>) -> Result<Tally> {
    let mut run = attempt(&mut command()?)?;
    for _ in 1..TRIES {
        if run.tally.is_green() || !run.crashed {
            break;
        }
        println!("{ONCE_MORE}: {what}");
        run = attempt(&mut command()?)?;
    }
    Ok(run.tally)
}

/// Runs a command that boots guests, passing its lines on.
pub(super) fn attempt(command: &mut Command) -> Result<Attempt> {
    let mut crashed = false;
    let tally = counted_seeing(command, |line| crashed |= is_emulators_crash(line))?;
    Ok(Attempt { tally, crashed })
}

/// Whether a line of a guest's console says that the emulator crashed it.
fn is_emulators_crash(line: &str) -> bool {
    line.contains(DOUBLE_FAULT) || flags(line).is_some_and(|flags| flags & RESERVED_FLAGS != 0)
}

fn flags(line: &str) -> Option<u64> {
    let digits = line.split_once(FLAGS)?.1.split_whitespace().next()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_fault_is_the_emulators() {
        assert!(is_emulators_crash("[    9.334679] traps: PANIC: double fault, error_code: 0x0"));
    }

    #[test]
    fn flags_that_no_processor_has_are_the_emulators() {
        for (flags, expected) in
            [("1ea8e487", true), ("00400000", true), ("00010206", false), ("003fffff", false)]
        {
            let line = format!(
                "[   68.149537] RSP: 0018:ffffc90000003ea0 EFLAGS: {flags} ORIG_RAX: 000000000000004b"
            );
            assert_eq!(is_emulators_crash(&line), expected, "{line}");
        }
    }

    #[test]
    fn every_other_crash_stands() {
        assert!(!is_emulators_crash(
            "[    9.3] BUG: kernel NULL pointer dereference, address: 0000000000000008"
        ));
    }
}
