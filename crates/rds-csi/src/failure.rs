//! How the process ends when it does not end well.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::mem;
use std::process::ExitCode;

/// Why the process ends, and with which exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not start as configured; 2, as for a usage error. Restarting does not help.
    Setup(anyhow::Error),
    /// It broke while it served; 1.
    Serving(anyhow::Error),
}

impl Failure {
    /// One line on stderr, the last one, and the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Self::Setup(error) => (error, 2),
            Self::Serving(error) => (error, 1),
        };
        // Not by tracing: where the setup failed there may be no subscriber yet.
        last_line(&one_line(error.as_ref()));
        ExitCode::from(code)
    }
}

/// Nobody writes to stderr any more: threads that still run would log after the line that says why the process ends, and
/// an operator sees the end of what a pod said.
fn last_line(text: &str) {
    let mut stderr = io::stderr().lock();
    // A stream that is closed has no reader.
    let _ = writeln!(stderr, "rds-csi: {text}");
    mem::forget(stderr);
}

/// Prints what clap has to tell. What is wrong is the last line as well: an operator sees that one of a pod that ended.
pub(crate) fn usage(told: &clap::Error) -> ExitCode {
    // A stream that is closed has no reader.
    let _ = told.print();
    if !told.use_stderr() {
        return ExitCode::SUCCESS;
    }
    last_line(&what_is_wrong(&told.to_string()));
    ExitCode::from(2)
}

/// The first paragraph of clap's text, in one line.
fn what_is_wrong(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or_default();
    let lines: Vec<_> = first.trim_start_matches("error: ").lines().map(str::trim).collect();
    lines.join(" ")
}

/// An error with its causes, in one line; a cause that was already quoted is not repeated.
pub(crate) fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            // Writing to a String cannot fail.
            let _ = write!(line, ": {text}");
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn an_error_is_one_line_without_repetition() {
        let error = anyhow!("refused").context("file /x: refused").context("cannot start");
        assert_eq!(one_line(error.as_ref()), "cannot start: file /x: refused");
    }
}
