//! The Node service on a kernel in memory.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bench;
mod block;
mod breaker;
mod crashes;
mod events;
mod expand;
mod failed;
mod fences;
mod formats;
mod generations;
mod hangs;
mod health;
mod inputs;
mod kubernetes;
mod metrics;
mod orphans;
mod publishes;
mod recovery;
mod stages;
mod stats;
mod unfenced;
mod unstages;
