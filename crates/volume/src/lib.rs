//! The vocabulary of the driver: what a volume, its slot, its NQN, its record, its parameters and
//! its contexts are called, and how each is parsed and printed.
//!
//! Nothing here does I/O or awaits; every parser answers hostile input with an error, and every
//! printed form parses back to the same value.

mod address;
mod capacity;
mod cluster;
mod context;
mod event;
mod generation;
mod node;
mod nqn;
mod parameters;
mod path;
mod record;
mod slot;
mod tunables;

pub use address::{AddressError, DataAddress};
pub use capacity::{CapacityError, CapacityRange, Limits, MIB, round_up_to_mib};
pub use cluster::{ClusterHash, ClusterId, ClusterIdError};
pub use context::{ContextError, Fencing, PublishContext, VolumeContext};
pub use event::{Claim, Event, Events, Involved, NoEvents, Reason};
pub use generation::Generation;
pub use node::{HostIdentity, NodeId, NodeIdError, NodeRef, NodeUid};
pub use nqn::{Nqn, NqnError, NqnPrefix};
pub use parameters::{FsType, ParameterError, Parameters};
pub use path::{BasePath, PathError};
pub use record::{MAX_RECORD_BYTES, Migration, Published, Record, RecordError};
pub use slot::{Slot, SlotError};
pub use tunables::Tunables;
