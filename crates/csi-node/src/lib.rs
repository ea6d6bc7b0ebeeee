//! The CSI Node service: one file per RPC, each parse, observe, plan (pure), apply, reply.
//!
//! What is stored is only what cannot be observed (`records`), written before the effect that it is of.
//! A crash at any point is one more observation at the retry.

mod attached;
mod attachments;
mod breaker;
mod capabilities;
mod connect;
mod error;
mod events;
mod expand;
mod fence;
mod foreign;
mod format;
mod health;
mod info;
mod losses;
mod metrics;
mod mounted;
mod node;
mod orphans;
mod publish;
mod records;
mod recover;
mod request;
mod scans;
mod seen;
mod service;
mod settle;
mod stage;
mod stats;
mod unpublish;
mod unstage;
mod watch;

pub use attachments::{Attachments, Standing, Unanswered};
pub use node::{Config, Node, OpenError};
