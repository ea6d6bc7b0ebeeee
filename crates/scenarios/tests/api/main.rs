//! The driver as it ships, called by the real sidecars of a real control plane: `cargo xtask test api`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod provisioning;
