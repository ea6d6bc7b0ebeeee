//! What a node takes to survive: outages, all its volumes at once, and the volumes that just stand there.

mod crowd;
pub(crate) mod idle;
pub(crate) mod outages;
pub(crate) mod stages;
mod writer;
