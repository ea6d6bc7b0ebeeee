//! The driver: wiring, configuration, telemetry and main.
//!
//! `rds-csi controller` talks to the device and to no node; `rds-csi node` to its kernel and to
//! no device. Nothing here decides anything about volumes.

mod arguments;
mod cluster;
mod connection;
mod controller;
mod device;
mod failure;
mod http;
mod identity;
mod node;
mod operator;
mod plugin;
mod runtime;
mod telemetry;

use std::process::ExitCode;

use arguments::{Arguments, Role};
use clap::Parser;

/// The first word that the node starts its own binary with, for one piece of work that may hang.
/// Before anything else: a helper needs no flags, no logs and no threads.
const HELPER: &str = "helper";

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == HELPER) {
        return host::helper_main(words);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => return failure::usage(&told),
    };
    let ended = match arguments.role {
        Role::Controller(arguments) => controller::run(*arguments),
        Role::Node(arguments) => node::run(*arguments),
        Role::DeclareFenced(arguments) => operator::declare_fenced(arguments),
        Role::RetryNow(arguments) => operator::retry_now(arguments),
    };
    ended.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}
