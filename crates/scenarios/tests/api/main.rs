//! The driver as it ships, called by the real sidecars of a real control plane: `cargo xtask test api`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod annotations;
mod by_hand;
mod events;
mod failover;
mod leadership;
mod leadership_pair;
mod migration;
mod migration_forced_off;
mod migration_refused;
mod migration_world;
mod oddities;
mod oddities_records;
mod outages;
mod provisioning;
mod rebuild;
mod rights;

use std::time::Duration;

/// A sidecar acts within a second; what settles takes five; a busy machine gets many times that.
const SOON: Duration = Duration::from_secs(60);
