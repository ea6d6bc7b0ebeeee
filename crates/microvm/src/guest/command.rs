//! Commands in a guest.

mod background;

use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

pub use background::Background;

use super::machine::Machine;
use crate::Result;

/// A command of a guest's shell, to be configured.
#[derive(Clone, Debug)]
#[must_use = "a command does something once it is run"]
pub struct Command<'a> {
    machine: &'a Machine,
    line: String,
    environment: Vec<String>,
    stdin: Option<Vec<u8>>,
    deadline: Duration,
}

impl<'a> Command<'a> {
    /// How long a command may take, if not said otherwise: emulated processors are some twenty times slower.
    pub const DEADLINE: Duration = Duration::from_secs(60);

    pub(super) fn new(machine: &'a Machine, line: &str) -> Self {
        Self {
            machine,
            line: line.to_owned(),
            environment: Vec::new(),
            stdin: Some(Vec::new()),
            deadline: Self::DEADLINE,
        }
    }

    /// Bytes for its standard input, which then ends.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Keeps its standard input open, for [`Background::write_stdin`].
    pub fn open_stdin(mut self) -> Self {
        self.stdin = None;
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// How long it may take ([`Self::DEADLINE`] if not said).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it to its end. A command ends when its process has ended and its output is closed: redirect the
    /// output of what it leaves behind.
    ///
    /// # Errors
    /// [`Error::Timeout`](crate::Error::Timeout), after which it is killed; and as [`Self::spawn`].
    pub fn run(self) -> Result<Output> {
        let deadline = self.deadline;
        self.spawn()?.wait(deadline)
    }

    /// Starts it in a process group of its own, which is killed when the value is dropped.
    ///
    /// # Errors
    /// [`Error::NotRunning`](crate::Error::NotRunning); [`Error::Agent`](crate::Error::Agent) if the guest ends
    /// or, being paused, does not answer.
    pub fn spawn(self) -> Result<Background> {
        let mut fields = vec![self.line.clone()];
        fields.extend(self.environment);
        let background = Background::start(self.machine, self.line, &fields, self.deadline)?;
        if let Some(bytes) = self.stdin {
            background.feed_and_close(&bytes);
        }
        Ok(background)
    }
}

/// How a command ended and what it said; as text in both of its formats.
#[derive(Clone)]
pub struct Output {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// True for exit code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// Standard output as text.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n{}{}", self.status, self.stdout_text(), self.stderr_text())
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
