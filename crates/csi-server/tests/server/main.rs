//! The plumbing as a CSI client meets it: over a real unix socket, with tonic's client.
#![allow(clippy::unwrap_used, reason = "tests")]

mod calls;
mod harness;
mod identity;
mod logs;
mod sockets;
mod stop;
