//! The rules of attachments.md, one by one.
#![allow(clippy::unwrap_used, reason = "tests")]

mod case;
mod happened;
mod publish;
mod reconcile;
mod shared;
mod standalone;
mod unpublish;
