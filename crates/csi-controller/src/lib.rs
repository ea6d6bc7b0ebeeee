//! The CSI Controller service: one file per RPC.
