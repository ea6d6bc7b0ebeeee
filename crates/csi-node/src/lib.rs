//! The CSI Node service: one file per RPC.
