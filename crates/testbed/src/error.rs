//! Why the test bed could not be had, or did not do as told.

use std::time::Duration;
use std::{fmt, io};

/// What this crate's calls return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the test bed could not be had, or did not do as told.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program that `cargo xtask test api` builds is not there.
    #[error("{0}: run this through `cargo xtask test api`, which builds the tools and says where they are")]
    Tools(String),
    /// A file, a socket or a process of this machine.
    #[error("{what}: {source}")]
    Host {
        /// What was being done, with the path or program.
        what: String,
        /// The system's error.
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("certificate of {name}: {source}")]
    Certificate {
        /// Whose it was to be.
        name: String,
        /// Why not.
        source: rcgen::Error,
    },
    /// A process ended while it was waited for.
    #[error("{name} ended ({status}) before it {what}\n--- end of its log ---\n{log}")]
    Ended {
        /// The process.
        name: String,
        /// How it ended.
        status: String,
        /// What was waited for.
        what: String,
        /// The last lines of its log.
        log: String,
    },
    /// What was waited for did not come.
    #[error("not within {within:?}: {what}\n{last}")]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        within: Duration,
        /// What was seen last.
        last: String,
    },
    /// kubectl ended with an error: what the API server said.
    #[error("kubectl {arguments}: {said}")]
    Kubectl {
        /// Its command line.
        arguments: String,
        /// Its standard error.
        said: String,
    },
    /// An answer of the API server that is not as the API has it.
    #[error("{what}: {answer}")]
    Answer {
        /// What is wrong with it.
        what: String,
        /// The answer.
        answer: String,
    },
}

/// As [`Display`](fmt::Display): tests unwrap, and a log is to be read, not its quoted lines.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Error {
    /// Wraps an error of the system with what was being done.
    pub(crate) fn host(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Host { what, source }
    }
}
