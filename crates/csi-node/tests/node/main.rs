//! The Node service on a kernel in memory.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bench;
mod stages;
mod unstages;
