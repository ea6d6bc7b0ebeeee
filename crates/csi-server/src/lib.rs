//! Any CSI driver's plumbing: unix endpoint, per-call span, metric, deadline and panic guard,
//! per-volume in-flight guard, the Identity service, and registration with the kubelet.
//!
//! Nothing here knows a storage system. A driver hands over its generated tonic services as
//! [`Routes`](tonic::service::Routes) and gets, around each call, what every CSI driver needs:
//!
//! - the handler **runs to its end** though the client leaves or its timeout passes, so that
//!   no effect is cut in the middle by whoever asked for it ([`CallLayer`]);
//! - the client's deadline as an instant ([`deadline_of`]);
//! - one span, one log line and one metric sample. Request bodies are never logged, so no
//!   `csi_secret` field can be: a handler names the few fields that may be seen.

mod call;
mod capability;
mod code;
mod endpoint;
mod identity;
mod in_flight;
mod mount_flags;
mod readiness;
mod registration;
mod serve;

pub use call::deadline::{CallDeadline, DEFAULT_CALL_DEADLINE, LONGEST_CALL_DEADLINE, deadline_of};
pub use call::metrics::CallMetrics;
pub use call::{CallLayer, CallService, record_volume_id};
pub use capability::{Access, Capability};
pub use code::code_name;
pub use endpoint::bound::{BindError, BoundEndpoint};
pub use endpoint::{Endpoint, EndpointError};
pub use identity::Identity;
pub use in_flight::{InFlight, InFlightGuard};
pub use mount_flags::{FlagError, MountFlags};
pub use readiness::{Readiness, ReadyState};
pub use registration::Registration;
pub use serve::{MAX_MESSAGE_BYTES, STOP_GRACE, ServeError, serve};
