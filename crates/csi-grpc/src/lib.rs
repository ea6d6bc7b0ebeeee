//! CSI types, clients and servers generated from `proto/csi.proto` at build time, and those of the kubelet's plugin
//! registration from `proto/pluginregistration.proto`.
//!
//! The messages of CSI are a superset of CSI 1.13 and of the volume condition that 1.13 removed, so
//! that kubelets built on either read what they know (design decision 15).

#[allow(missing_docs, unreachable_pub, reason = "generated code; the CSI specification is its documentation")]
#[allow(clippy::all, unused_qualifications, reason = "generated code")]
/// Package `csi.v1`.
pub mod v1 {
    tonic::include_proto!("csi.v1");
}

#[allow(missing_docs, unreachable_pub, reason = "generated code; the .proto file is its documentation")]
#[allow(clippy::all, unused_qualifications, reason = "generated code")]
/// Package `pluginregistration`: version 1 of the kubelet's API.
pub mod pluginregistration {
    tonic::include_proto!("pluginregistration");
}
