//! The whole system in one process: the real controller, node and client, the simulated device, a kernel in
//! memory, a paused clock.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests, with small numbers")]

mod crashes;
mod crashing;
mod life;
mod plane;
mod schedules;
mod world;
