//! A RouterOS 7.24 device with ROSE storage, simulated on the wire.
//!
//! [`Simulator::start`] makes one from a [`Config`]; it listens on sockets or serves any stream, and its
//! [`Handle`] looks into it and breaks it. What nobody knows of the device is an entry of [`Assumptions`].
//!
//! Invariants, as absences: [`device`] does no I/O and knows no HTTP; `rest` knows no files and no data plane;
//! nothing here depends on any other crate of this workspace.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod assumptions;
pub mod config;
pub mod control;
pub mod device;
pub mod fault;
pub mod images;
mod journal;
mod lane;
mod machine;
pub mod menu;
pub mod plane;
mod rest;
mod simulator;
pub mod version;

pub use assumptions::Assumptions;
pub use config::{Config, PoolConfig, UserConfig};
pub use device::disk::traffic::Traffic;
pub use fault::{Action, Fault, Matching, When};
pub use simulator::{Handle, Identity, Reboot, Scheme, Simulator, TlsError};
