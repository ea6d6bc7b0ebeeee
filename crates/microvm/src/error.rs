//! Why a guest could not be had, or did not do as told.

use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use crate::Output;

/// What this crate's calls return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a guest could not be had, or did not do as told.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host lacks something that could not be installed or fetched.
    #[error("provisioning: {0}")]
    Provision(String),
    /// A file or process of the host.
    #[error("{what}: {source}")]
    Host {
        /// What was being done, with the path or program.
        what: String,
        /// The system's error.
        source: io::Error,
    },
    /// A host program ended with an error.
    #[error("{program} ended with {status}: {stderr}")]
    Program {
        /// The command line.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// The guest ended, or did not answer in time, while it booted.
    #[error("guest {guest}: {reason}\n--- console {console} ---\n{tail}")]
    Boot {
        /// The guest's name.
        guest: String,
        /// What happened.
        reason: String,
        /// The console's log file (removed with its lab).
        console: PathBuf,
        /// The last lines of the console.
        tail: String,
    },
    /// The guest is not running (killed, or ended by itself).
    #[error("guest {0} is not running")]
    NotRunning(String),
    /// The connection to the guest's agent broke: the guest was killed or stopped in mid-command.
    #[error("guest {guest}: `{command}`: {source}")]
    Agent {
        /// The guest's name.
        guest: String,
        /// What was being done.
        command: String,
        /// The connection's error.
        source: io::Error,
    },
    /// A command did not end in time; it was killed, if the guest still listens.
    #[error("guest {guest}: `{command}` did not end within {after:?}; so far: {output}")]
    Timeout {
        /// The guest's name.
        guest: String,
        /// The command.
        command: String,
        /// How long it was given.
        after: Duration,
        /// What it had said by then, both streams.
        output: String,
    },
    /// A command that had to succeed did not.
    #[error("guest {guest}: `{command}` ended with {output}")]
    Failed {
        /// The guest's name.
        guest: String,
        /// The command.
        command: String,
        /// How it ended.
        output: Output,
    },
    /// QEMU refused a command.
    #[error("guest {guest}: QEMU: {reason}")]
    Monitor {
        /// The guest's name.
        guest: String,
        /// What was asked and what was answered.
        reason: String,
    },
}

/// As [`Display`](fmt::Display): tests unwrap, and a console is to be read, not its quoted bytes.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Error {
    /// Wraps an error of the host's system with what was being done.
    pub(crate) fn host(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Host { what, source }
    }
}
