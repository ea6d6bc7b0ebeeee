//! The plumbing as a CSI client meets it: over a real unix socket, with tonic's client.
#![allow(clippy::unwrap_used, reason = "tests")]

mod calls;
mod harness;
mod identity;
mod log;
mod logs;
mod registration;
mod sockets;
mod stop;
