//! Who may have a volume: pure decisions over what the device says of it.
//!
//! [`decide`] takes what was read ([`Observed`]), what is asked ([`Request`]) and the terms under which the
//! controller works ([`Terms`]), and answers with a [`Plan`]: the next write, an answer, a wait or a refusal.
//! Nothing here does I/O, reads a clock or makes randomness: a new generation and what is left of a settle are
//! arguments.
//!
//! What never happens, whatever is asked: two holders of a volume that was ever a file system; more than two
//! holders; one generation for two attachments; an export with a holder closed, bounced or renamed.

mod claims;
mod decide;
mod ending;
mod export;
mod facts;
mod halt;
mod happened;
mod known;
mod plan;
mod publish;
mod reconcile;
mod refusal;
mod request;
mod state;
mod unfenced;
mod unpublish;
mod unwanted;

pub use decide::decide;
pub use export::{AllowList, PodsUnreadable, Terms};
pub use facts::{Attachments, Facts, KubernetesFacts, Machines, NodeFacts, Question, Want};
pub use happened::{Happening, happened};
pub use plan::{Attached, Change, ExportChange, Plan};
pub use refusal::{Later, Refusal};
pub use request::{Leaving, Publish, Reconcile, Request, Unpublish};
pub use state::{Export, Observed, State};
pub use unfenced::{StayingAlone, must_stay_alone};
pub use unwanted::{Unwanted, unwanted};
