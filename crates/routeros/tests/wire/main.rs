//! The client on the wire, against a device that does exactly as scripted.
#![allow(clippy::unwrap_used, reason = "tests")]

mod connections;
mod credentials;
mod device;
mod outcomes;
mod probe;
mod refusals;
mod simulator;
mod streaming;
mod tls;
mod transcripts;
