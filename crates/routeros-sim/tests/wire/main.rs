//! The simulator as its clients meet it: over HTTP, in one process.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod assumptions;
mod client;
mod faults;
mod login;
mod program;
mod queue;
mod restart;
mod speed;
mod transcripts;
