//! The chart: what it renders, what it refuses, what the API server takes, and that it runs: `cargo xtask test chart`.
#![allow(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests: helm is started, and UPDATE is read")]

mod accepted;
mod container;
mod documents;
mod golden;
mod helm;
mod installed;
mod made;
mod refused;
mod started;
mod versions;
