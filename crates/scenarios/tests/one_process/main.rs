//! The whole system in one process: the real controller, node and client, the simulated device, a kernel in
//! memory, a paused clock.
#![allow(clippy::unwrap_used, reason = "tests")]

mod crashes;
mod crashing;
mod life;
mod plane;
mod schedules;
mod world;
