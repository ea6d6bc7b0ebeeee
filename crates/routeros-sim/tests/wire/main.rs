//! The simulator as its clients meet it: over HTTP, in one process.
#![expect(clippy::disallowed_methods, reason = "tests start the program under test")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod assumptions;
mod client;
mod counters;
mod faults;
mod login;
mod program;
mod queue;
mod restart;
mod speed;
mod transcripts;
