//! What failed, and why, as the runners' lines tell: a run of an hour says it once more at its end.

use std::fmt;

/// Lines of a panic's message that are kept.
const LINES: usize = 4;
/// Characters of such a line that are kept: an object of the API can be thousands.
const WIDTH: usize = 500;

/// Failed tests and steps of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    tests: Vec<String>,
    panics: Vec<Panic>,
    steps: Vec<String>,
    now: Reading,
}

/// A thread that panicked: libtest names threads after their tests.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Panic {
    thread: String,
    said: Vec<String>,
}

/// What the next line may belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Nothing,
    /// libtest's list of failed tests, which ends a run.
    Tests,
    /// The message of the last panic.
    Panic,
}

impl Failures {
    /// Takes in one line, without colours, of libtest, of Ginkgo, or of our own programs.
    pub(crate) fn see(&mut self, line: &str) {
        if let Some(panic) = Panic::begun(line) {
            self.panics.push(panic);
            self.now = Reading::Panic;
        } else if line == "failures:" {
            self.now = Reading::Tests;
        } else if line.starts_with("FAIL  ") || line.starts_with("[FAIL] ") {
            self.steps.push(cut(line));
        } else {
            self.go_on(line);
        }
    }

    fn go_on(&mut self, line: &str) {
        let taken = match self.now {
            Reading::Nothing => false,
            Reading::Tests => self.is_listed(line),
            Reading::Panic => self.panics.last_mut().is_some_and(|panic| panic.goes_on(line)),
        };
        if !taken {
            self.now = Reading::Nothing;
        }
    }

    fn is_listed(&mut self, line: &str) -> bool {
        let name = line.strip_prefix("    ").filter(|name| !name.starts_with(' '));
        self.tests.extend(name.map(str::to_owned));
        name.is_some()
    }

    /// The failed tests of libtest, by name.
    pub(crate) fn tests(&self) -> &[String] {
        &self.tests
    }

    /// Nothing failed, and nobody panicked.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl std::ops::AddAssign for Failures {
    fn add_assign(&mut self, other: Self) {
        self.tests.extend(other.tests);
        self.panics.extend(other.panics);
        self.steps.extend(other.steps);
    }
}

/// A line for each, with what its test said when it panicked; nothing of tests that passed.
impl fmt::Display for Failures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for test in &self.tests {
            writeln!(formatter, "failed: {test}")?;
            let of_it = self.panics.iter().filter(|panic| panic.thread == *test);
            of_it.flat_map(|panic| &panic.said).try_for_each(|line| writeln!(formatter, "    {line}"))?;
        }
        self.steps.iter().try_for_each(|step| writeln!(formatter, "failed: {step}"))
    }
}

impl Panic {
    /// `thread 'NAME' (4711) panicked at FILE:LINE:COLUMN:`; its message is in the lines after it.
    fn begun(line: &str) -> Option<Self> {
        let (thread, place) = line.strip_prefix("thread '")?.split_once("' ")?;
        let (_, place) = place.split_once("panicked at ")?;
        Some(Self { thread: thread.to_owned(), said: vec![format!("at {place}")] })
    }

    fn goes_on(&mut self, line: &str) -> bool {
        let over = line.is_empty() || line.starts_with("note: ") || line.starts_with("stack backtrace:");
        let goes_on = !over && self.said.len() <= LINES;
        if goes_on {
            self.said.push(cut(line));
        }
        goes_on
    }
}

fn cut(line: &str) -> String {
    line.chars().take(WIDTH).collect()
}

#[cfg(test)]
mod tests {
    use super::Failures;

    fn seen(lines: &[&str]) -> String {
        let mut failures = Failures::default();
        lines.iter().for_each(|line| failures.see(line));
        failures.to_string()
    }

    #[test]
    fn a_failed_test_is_told_with_its_place_and_message() {
        let told = seen(&[
            "test leads ... FAILED",
            "test refuses ... ok",
            "",
            "failures:",
            "",
            "---- leads stdout ----",
            "",
            "thread 'leads' (4711) panicked at crates/x/tests/api/failover.rs:160:68:",
            "called `Result::unwrap()` on an `Err` value: not within 60s: attached to b",
            "null",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "",
            "failures:",
            "    leads",
            "",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.34s",
        ]);
        let expected = "failed: leads\n    at crates/x/tests/api/failover.rs:160:68:\n    \
            called `Result::unwrap()` on an `Err` value: not within 60s: attached to b\n    null\n";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_panic_that_its_test_wants_is_no_failure() {
        let told =
            seen(&["thread 'breaks' (1) panicked at src/a.rs:1:1:", "as it should", "test result: ok."]);
        assert_eq!(told, "");
    }

    #[test]
    fn failed_steps_and_specs_are_told_as_they_are() {
        let told =
            seen(&["FAIL     3.20 s  it mounts: no", "[FAIL] Node Service [It] is gone", "ok  1 s  it does"]);
        assert_eq!(
            told,
            "failed: FAIL     3.20 s  it mounts: no\nfailed: [FAIL] Node Service [It] is gone\n"
        );
    }
}
