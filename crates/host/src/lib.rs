//! The Linux node as the driver needs it: NVMe over fabrics, block devices, file systems and mounts.
//!
//! Four traits say what the node does to its kernel; `linux::Linux` does it for real and
//! `fake::FakeKernel` keeps the same promises in memory. Whatever can hang in the kernel runs in a helper
//! process that is abandoned at its deadline and joined by the next caller (node.md rule 7):
//! every method that takes a [`Volume`] may do so, and answers [`ErrorKind::Abandoned`] then.

mod block;
mod error;
mod fabrics;
#[cfg(feature = "fake")]
pub mod fake;
mod filesystem;
mod helper;
pub mod linux;
mod mount;
mod mountinfo;
mod nvme;
mod op;
mod protocol;
mod request;
mod sysfs;
mod untold;

pub use block::{Block, Content, Device, Range};
pub use error::{Error, ErrorKind, Result};
pub use filesystem::{Filesystems, Mkfs, Usage};
pub use helper::helper_main;
pub use mount::{MountEntry, Mounts};
pub use nvme::{Connection, Controller, ControllerState, Namespace, Nvme, Probe, Subsystem};

use std::collections::BTreeSet;

use tokio::time::Instant;
use volume::Slot;

/// Whose work a call is, and until when it is waited for.
///
/// Helpers are kept by slot: one at a time a volume, whatever becomes of the others. Only
/// [`Nvme::disconnect`] goes beside one that hangs, since nothing else frees it.
#[derive(Clone, Copy, Debug)]
pub struct Volume<'a> {
    /// The volume that the work belongs to.
    pub slot: &'a Slot,
    /// When the caller stops waiting; the work itself may go on in its helper.
    pub deadline: Instant,
}

/// Everything that the node part asks of its machine.
pub trait Host: Nvme + Block + Filesystems + Mounts + Send + Sync + 'static {
    /// Waits until no helper of the volume is running; its results are dropped, but for a loss: the next sync, check, flush
    /// or release of the volume fails with that, however well it ended itself.
    ///
    /// # Errors
    /// [`ErrorKind::Abandoned`] where one still is at the deadline, naming it.
    fn join(&self, volume: Volume<'_>) -> impl Future<Output = Result<()>> + Send;

    /// A loss that the kernel told an operation of the volume which nobody waited for any more; once. For who asks for no sync
    /// any more.
    fn take_untold(&self, slot: &Slot) -> Option<Error>;

    /// The NVMe heads, by name, that the kernel's log complains of, in what it has said since this was asked last. No more
    /// than a suspicion: the device may be another one by now, and a log that cannot be read says nothing.
    fn complaints(&self) -> impl Future<Output = BTreeSet<String>> + Send;
}
