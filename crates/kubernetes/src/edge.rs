//! Says a state when it changes, and not at every attempt (requirement R15's spirit, for logs).

use tracing::{info, warn};

/// One thing that works or does not.
#[derive(Debug)]
pub(crate) struct Edge {
    what: &'static str,
    failing: bool,
}

impl Edge {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, failing: false }
    }

    /// It failed: said at the first time in a row.
    pub(crate) fn failed(&mut self, error: &dyn std::fmt::Display) {
        if !std::mem::replace(&mut self.failing, true) {
            warn!(%error, "{} fails; repeats are not logged until it works again", self.what);
        }
    }

    /// It worked: said once after failures.
    pub(crate) fn worked(&mut self) {
        if std::mem::take(&mut self.failing) {
            info!("{} works again", self.what);
        }
    }
}
