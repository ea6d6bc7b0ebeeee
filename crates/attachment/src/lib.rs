//! Who may have a volume: pure decisions over what the device says of it.
//!
//! [`decide`] takes what was read ([`Observed`]), what is asked ([`Request`]) and the terms under which the
//! controller works ([`Terms`]), and answers with a [`Plan`]: the next write, an answer, a wait or a refusal.
//! Nothing here does I/O, reads a clock or makes randomness: a new generation and what is left of a settle are
//! arguments.
//!
//! What never happens, whatever is asked: two holders of a volume that was ever a file system; more than two
//! holders; one generation for two attachments; an export with a holder closed, bounced or renamed.

mod decide;
mod export;
mod facts;
mod plan;
mod publish;
mod request;
mod state;
mod unpublish;

pub use decide::decide;
pub use export::{AllowList, Terms};
pub use facts::{Attachments, Facts, KubernetesFacts, Machines, NodeFacts, Question, Want};
pub use plan::{Attached, Change, ExportChange, Plan, Refusal};
pub use request::{Leaving, Publish, Request, Unpublish};
pub use state::{Export, Observed, State};
