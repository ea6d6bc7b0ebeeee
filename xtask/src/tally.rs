//! What a suite counted, read from the closing lines of its test runners.

use std::fmt;

use crate::failures::Failures;

/// Tests that passed and failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) failures: Failures,
}

impl Tally {
    /// One step that is a test of its own.
    pub(crate) fn step(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into(), ..Self::default() }
    }

    /// Adds what one line of libtest (`test result: …`), of csi-sanity (Ginkgo), or of our own
    /// programs (`demo: N passed, N failed`) says; other lines say nothing.
    pub(crate) fn see(&mut self, line: &str) {
        let line = plain(line);
        self.failures.see(&line);
        let counted = line.contains(" passed") && line.contains(" failed") || line.contains(" Passed");
        let summary = line.starts_with("test result: ") || line.contains(" Passed | ") || line.contains(": ");
        if counted && summary {
            self.passed += number_before(&line, "passed");
            self.failed += number_before(&line, "failed");
        }
    }

    /// Whether something ran and nothing failed.
    pub(crate) fn is_green(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures += other.failures;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The line without terminal colours.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        if character == '\u{1b}' {
            rest.by_ref().find(char::is_ascii_alphabetic);
        } else {
            text.push(character);
        }
    }
    text
}

/// The number in front of a word, the word's first letter in either case.
fn number_before(line: &str, word: &str) -> u64 {
    let words: Vec<_> =
        line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    // libtest says FAILED before it counts.
    let counts = words.windows(2).filter(|pair| pair[1].eq_ignore_ascii_case(word));
    counts.filter_map(|pair| pair[0].parse().ok()).next().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_of_every_runner_are_counted() {
        let mut tally = Tally::default();
        for line in [
            "test result: ok. 30 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 4.44s",
            "\u{1b}[1mFAIL!\u{1b}[0m -- \u{1b}[32m70 Passed\u{1b}[0m | \u{1b}[91m2 Failed\u{1b}[0m | 0 Pending | 20 Skipped",
            "test result: FAILED. 22 passed; 2 failed; 0 ignored; 0 measured; 23 filtered out; finished in 998.34s",
            "demo: 12 passed, 1 failed",
            "running 30 tests",
            "test context::tests::a_passed_test ... ok",
        ] {
            tally.see(line);
        }
        assert_eq!((tally.passed, tally.failed), (134, 5));
    }

    #[test]
    fn a_suite_that_ran_nothing_is_not_green() {
        assert!(!Tally::default().is_green());
        let of = |passed, failed| Tally { passed, failed, ..Tally::default() };
        assert!(!of(1, 1).is_green());
        assert!(of(1, 0).is_green());
    }
}
