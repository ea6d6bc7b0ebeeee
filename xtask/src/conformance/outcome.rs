//! What became of one spec in all runs.

use serde_json::Value;

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    passed: u32,
    failed: u32,
    /// Of the last run that ran it.
    last: Option<Last>,
    /// Why it skipped itself: what it asks of a driver is not there.
    skipped: Option<String>,
}

/// How it ended.
#[derive(Debug)]
struct Last {
    seconds: f64,
    /// The first line of why it failed.
    failure: Option<String>,
}

/// What is told of a spec.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// It passed when it last ran.
    Passed,
    /// It failed when it last ran, with the suite's words.
    Failed(&'a str),
    /// It skipped itself, with its words.
    Skipped(&'a str),
    /// No run has run it.
    NotRun,
}

impl Outcome {
    /// Takes the spec of one run; a run that did not select it says nothing.
    pub(crate) fn see(&mut self, spec: &Value) {
        let message = spec["message"].as_str().map(first_line);
        let seconds = spec["seconds"].as_f64().unwrap_or_default();
        match (spec["state"].as_str(), message) {
            (Some("passed"), _) => {
                self.passed += 1;
                self.last = Some(Last { seconds, failure: None });
            }
            (Some("skipped" | "pending"), None) => (),
            (Some("skipped" | "pending"), message) => self.skipped = message,
            (_, message) => {
                self.failed += 1;
                let failure = Some(message.unwrap_or_else(|| "it did not say why".to_owned()));
                self.last = Some(Last { seconds, failure });
            }
        }
    }

    /// What is told of it.
    pub(crate) fn verdict(&self) -> Verdict<'_> {
        match (&self.last, &self.skipped) {
            (Some(Last { failure: Some(failure), .. }), _) => Verdict::Failed(failure),
            (Some(_), _) => Verdict::Passed,
            (None, Some(why)) => Verdict::Skipped(why),
            (None, None) => Verdict::NotRun,
        }
    }

    /// How often it passed, in words.
    pub(crate) fn result(&self) -> String {
        match (self.passed, self.failed) {
            (0, _) => "**FAILED**".to_owned(),
            (_, 0) => "passed".to_owned(),
            (passed, failed) => format!("passed {passed} of {}", passed + failed),
        }
    }

    /// How long its last run took, in whole seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.last.as_ref().map_or(0.0, |last| last.seconds.round())
    }
}

/// What tells most of a message: its first line that is not empty.
fn first_line(message: &str) -> String {
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    // A table's columns are parted by these.
    line.replace('|', "/").replace('`', "'")
}
