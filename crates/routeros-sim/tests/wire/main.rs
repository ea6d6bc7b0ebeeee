//! The simulator as its clients meet it: over HTTP, in one process.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod client;
mod transcripts;
