//! The Node service on a kernel in memory.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bench;
mod block;
mod crashes;
mod expand;
mod fences;
mod formats;
mod generations;
mod hangs;
mod inputs;
mod metrics;
mod publishes;
mod stages;
mod stats;
mod unstages;
