//! The operator's word to a node (node.md rule 5): a service beside CSI on the node's socket, and its clients,
//! `rds-csi declare-fenced` and `rds-csi retry-now`.

mod client;
mod service;

pub(crate) use client::{declare_fenced, retry_now};
pub(crate) use service::server;

#[allow(missing_docs, unreachable_pub, reason = "generated code; proto/operator.proto is its documentation")]
#[allow(clippy::all, unused_qualifications, reason = "generated code")]
mod v1 {
    tonic::include_proto!("rds.csi.v1");
}
