//! The adapters against an API server that a test scripts.
#![allow(clippy::unwrap_used, reason = "tests")]

mod annotations;
mod attachments;
mod candidates;
mod election;
mod events;
mod live;
mod server;
