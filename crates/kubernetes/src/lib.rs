//! Adapters on the Kubernetes API server, for the driver's two services; nothing here knows CSI.
//!
//! Two kinds of answers, never mixed (attachments.md). [`Live`] asks the API server at that very moment: what it
//! says may decide over an attachment. What watches keep in memory ([`Claims`], [`Changes`]) only says whom an event
//! concerns and when to look again. [`EventRecorder`] and [`Mirror`] are queues that never hold up their caller.
//! [`Leader`] is the election of the one controller that writes.

mod annotations;
mod ask;
mod boottime;
mod changes;
mod claims;
mod connect;
mod edge;
mod events;
mod handles;
mod lease;
mod live;
mod machines;
mod mark;
mod nodes;
mod page;
mod trimmed;
mod volume_attachments;

pub use annotations::{ATTACHED_AT, ATTACHED_NODE, Mirror};
pub use ask::{ApiError, Cause};
pub use boottime::{BootClock, BootTime};
pub use changes::Changes;
pub use claims::{Claims, PersistentVolumeEntry};
pub use connect::{ConnectError, Connection, cluster_uid, connect};
pub use events::{EventRecorder, OwnPod, Reporter};
pub use lease::{Candidate, Decision, Leader, LeaseName, Observed, Terms};
pub use live::Live;
pub use machines::{PodClaims, PodOwner, machines_of};
pub use mark::UNFENCED_MEMBER;
pub use nodes::Node;
pub use volume_attachments::{VolumeAttachments, attachment_name};

/// The client of kube, for those who hand one over.
pub use kube::Client;
