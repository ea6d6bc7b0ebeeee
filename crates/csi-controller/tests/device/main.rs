//! The Controller service with the real client against a simulated device, in one process and on a paused clock.
#![allow(clippy::unwrap_used, reason = "tests")]

mod assumptions;
mod attachments;
mod doubts;
mod figures;
mod first_look;
mod foreign;
mod harness;
mod input;
mod kube;
mod leadership;
mod life;
mod listing;
mod management;
mod migration;
mod mismatch;
mod nodes;
mod outcomes;
mod pools;
mod readiness;
mod reconciler;
mod requests;
mod takeover;
