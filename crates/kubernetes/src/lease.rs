//! The election of the one controller that writes (attachments.md, "Leadership").
//!
//! ```text
//!                    seen unchanged for its duration, or released by the holder that was seen
//!   Contending ──────────────────────── write succeeds ────────────────────────▶ Leading ─┐ renewed
//!       ▲  │ otherwise: wait                                                      │  │  ▲──┘
//!       └──┘                 somebody else's name, or the own time has run out    │  │ release
//!                                        Lost (the process ends) ◀────────────────┘  ▼
//!                                                                                 Released
//! ```
//!
//! **Two never lead at once.** A leader counts its time from *before* it sent the last write that succeeded; a
//! contender counts from *after* it read the version that this write made, waits at least as long, and writes only
//! over exactly that version. Where there is no Lease it first makes one that nobody holds. Wall clocks, `renewTime` and who the holder claims to be play no part, so a Lease that
//! was deleted, edited or restored from a backup is waited for once, like any other, and stops nobody for ever.

mod candidate;
mod object;
mod runner;

use std::time::Duration;

pub use candidate::{Candidate, Decision};
pub use object::Observed;
pub use runner::Leader;

/// Where the Lease is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    /// Its namespace: the driver's own.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The times of the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a leader leads without renewing.
    pub duration: Duration,
    /// What of it is given up, so that clocks may go at different speeds and a request may take a moment to leave.
    pub margin: Duration,
    /// How often a leader renews, from start to start.
    pub renew: Duration,
    /// How often a contender looks, and how soon anybody tries again.
    pub poll: Duration,
    /// For one request.
    pub request: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            // With the reads that follow, another leader works within 30 s of a death.
            duration: Duration::from_secs(15),
            // One part in fifteen: clocks that are off by more than 6 % are broken.
            margin: Duration::from_secs(1),
            renew: Duration::from_secs(5),
            poll: Duration::from_secs(1),
            // An API server that takes five seconds a call keeps its leader; what hangs is tried again in time.
            request: Duration::from_secs(6),
        }
    }
}
