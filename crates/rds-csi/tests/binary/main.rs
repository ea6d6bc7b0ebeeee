//! The binary that ships, started as a process and asked over its sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

mod calls;
mod configuration;
mod device;
mod health;
mod kubernetes;
mod metrics;
mod operator;
mod process;
mod registration;
mod secrets;
mod stop;
