//! Telling a crash that the emulator made from a failure of ours.
//!
//! QEMU 7.2, as Debian 12 has it, now and then (seen: once in some hundred guests) delivers an interrupt with a
//! flags register that holds part of a pointer; the guest's kernel then dies of a double fault, or of what it read or wrote
//! next, with our code not running. Nothing that a driver or a target does through system calls makes a double fault, or
//! sets a flag that no processor has, so a test that failed beside one says nothing and is run once more. Every other crash of
//! a guest's kernel is a finding.

/// What the console of such a guest says.
const DOUBLE_FAULT: &str = "traps: PANIC: double fault";
/// What the kernel prints before the flags of a processor that failed, in hexadecimal digits.
const FLAGS: &str = " EFLAGS: ";
/// These are zero in every processor (Intel SDM, volume 1, 3.4.3).
const RESERVED_FLAGS: u64 = !0x003f_ffff;

/// Whether a line of a guest's console says that the emulator crashed it.
pub(in crate::suites) fn is_emulators_crash(line: &str) -> bool {
    line.contains(DOUBLE_FAULT) || flags(line).is_some_and(|flags| flags & RESERVED_FLAGS != 0)
}

fn flags(line: &str) -> Option<u64> {
    let digits = line.split_once(FLAGS)?.1.split_whitespace().next()?;
    u64::from_str_radix(digits, 16).ok()
}

/// The failed tests of one run, and whether the emulator had a hand in it.
#[derive(Debug, Default)]
pub(super) struct Failures {
    failed: Vec<String>,
    by_the_emulator: bool,
}

impl Failures {
    /// Takes in one line of libtest's output.
    pub(super) fn see(&mut self, line: &str) {
        self.by_the_emulator |= is_emulators_crash(line);
        let name = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"));
        self.failed.extend(name.map(str::to_owned));
    }

    /// The failed tests, all of them since guests are shared between tests; `None` if the emulator did nothing.
    pub(super) fn by_the_emulator(self) -> Option<Vec<String>> {
        (self.by_the_emulator && !self.failed.is_empty()).then_some(self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lines: &[&str]) -> Option<Vec<String>> {
        let mut failures = Failures::default();
        lines.iter().for_each(|line| failures.see(line));
        failures.by_the_emulator()
    }

    #[test]
    fn failures_beside_a_double_fault_are_named() {
        let lines = [
            "test linux_6_1::life ... ok",
            "test linux_6_12::life ... FAILED",
            "[    9.334679] traps: PANIC: double fault, error_code: 0x0",
        ];
        assert_eq!(seen(&lines), Some(vec!["linux_6_12::life".to_owned()]));
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
    fn every_other_failure_stands() {
        let oops = "[    9.3] BUG: kernel NULL pointer dereference, address: 0000000000000008";
        assert_eq!(seen(&["test linux_6_12::life ... FAILED", oops]), None);
        assert_eq!(seen(&["traps: PANIC: double fault, error_code: 0x0"]), None);
    }
}
