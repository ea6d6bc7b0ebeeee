//! A whole cluster: real kubelets in guests. `cargo xtask test cluster` runs these.
#![allow(clippy::unwrap_used, reason = "tests")]

mod pods;
