//! The CSI Controller service of a RouterOS device: one file per RPC, each parse → observe → plan → apply → reply.
//!
//! [`Controller`] implements the generated service over a [`routeros::Client`]. Nothing is stored that can be
//! observed: the device's records are the state, and a crash at any point is one more observation at the retry.
//! What is kept in memory ([`Controller`]'s promises of room, doubts about writes, running settles) is either
//! rebuilt from the device or errs to the safe side when it is lost.
//!
//! Nothing without this cluster's record is ever changed or removed, and what could not be read is not absent.

mod aftermath;
mod agenda;
mod apply;
mod capabilities;
mod capability;
mod clock;
mod cluster;
mod config;
mod connection;
mod controller;
mod controller_publish;
mod controller_unpublish;
mod create_volume;
mod decision;
mod delete_volume;
mod device_error;
mod device_facts;
mod door;
mod events;
mod expand_volume;
mod figures;
mod gate;
mod get_capacity;
mod get_volume;
mod hand_off;
mod lead;
mod ledger;
mod list_volumes;
mod metrics;
mod observe;
mod parse;
mod pool;
mod published;
mod rebuild;
mod reconcile;
mod remove_image;
mod service;
mod settle;
mod unfenced;
mod unsaid;
mod unwanted;
mod validate;
mod watch;
mod writes;

/// What the port [`Cluster`] speaks in.
pub use attachment::{Attachments, Machines, PodsUnreadable};
pub use cluster::{AllAttachments, Alone, Cluster, ClusterNode, Leadership, Unanswered};
pub use config::{AttachmentPolicy, Config, ConfigError, PoolReserve};
pub use controller::Controller;
pub use device_facts::{DeviceFactError, DeviceFacts, Growth, Order, Unexport};
pub use figures::Figures;
