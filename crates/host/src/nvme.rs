//! NVMe over fabrics: what sysfs shows, and the few things that are written to the kernel.

use std::net::SocketAddr;

use volume::{HostIdentity, Nqn, Tunables};

use crate::{Device, Result, Volume};

/// One NVMe subsystem as `/sys/class/nvme-subsystem/*` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subsystem {
    /// `subsysnqn`.
    pub nqn: String,
    /// Its controllers, in any state.
    pub controllers: Vec<Controller>,
    /// Its multipath heads, never the paths (`nvmeXcYnZ`) below them.
    pub namespaces: Vec<Namespace>,
}

/// One controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// `nvme3`: says nothing of its namespaces' names (node.md K13).
    pub name: String,
    /// `state`.
    pub state: ControllerState,
    /// `address`, as the kernel prints it.
    pub address: String,
}

/// `state` of a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControllerState {
    /// I/O flows.
    Live,
    /// New, resetting or connecting: I/O is held.
    Reconnecting,
    /// Deleting or dead.
    Deleting,
    /// A word that no kernel is known to say.
    Other(String),
}

/// One namespace's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// `nsid`.
    pub id: u32,
    /// Its block device.
    pub device: Device,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Where and as whom to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The subsystem.
    pub nqn: Nqn,
    /// The target, resolved by us: the kernel takes no names.
    pub address: SocketAddr,
    /// The host NQN and host id.
    pub host: HostIdentity,
    /// Timeouts and queues.
    pub tunables: Tunables,
}

/// What a target says to a Fabrics Connect from user space (node.md rule 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It would let this host in.
    Accepted,
    /// It answers, and knows no such NQN.
    NqnUnknown,
    /// It answers, knows the NQN, and refuses this host.
    HostRefused,
    /// It does not answer as an NVMe/TCP target, with what was seen instead.
    Unreachable(String),
}

/// NVMe over fabrics on this node.
pub trait Nvme {
    /// Every NVMe subsystem of the node, local drives included: callers select by exact NQN.
    ///
    /// # Errors
    /// Where sysfs cannot be read: then nothing is known, which is not "nothing there".
    fn subsystems(&self) -> impl Future<Output = Result<Vec<Subsystem>>> + Send;

    /// The states of controllers by name, `None` for one that is not there: a small read each, for those who look
    /// every second (node.md rule 8). A name says nothing of its subsystem (node.md K13): what changed is looked at
    /// whole.
    ///
    /// # Errors
    /// Where sysfs cannot be read.
    fn states(
        &self,
        controllers: &[String],
    ) -> impl Future<Output = Result<Vec<Option<ControllerState>>>> + Send;

    /// Wakes when the kernel says that something of NVMe came, went or came back (uevents). It never wakes on a loss
    /// (node.md K7), nor where the kernel cannot be heard: whoever waits looks now and then all the same.
    fn changes(&self) -> tokio::sync::watch::Receiver<()>;

    /// Resolves a data address by DNS.
    ///
    /// # Errors
    /// Where the name has no address, or none in time.
    fn resolve(
        &self,
        address: &volume::DataAddress,
        deadline: tokio::time::Instant,
    ) -> impl Future<Output = Result<SocketAddr>> + Send;

    /// Asks the target from user space (ICReq, Fabrics Connect to the admin queue) and hangs up.
    fn probe(
        &self,
        connection: &Connection,
        deadline: tokio::time::Instant,
    ) -> impl Future<Output = Probe> + Send;

    /// Connects through `/dev/nvme-fabrics`. One at a time on the node: the kernel has one mutex
    /// (node.md K10).
    ///
    /// # Errors
    /// The kernel's errno; on [`crate::ErrorKind::Abandoned`] the connection may yet come up.
    fn connect(&self, volume: Volume<'_>, connection: &Connection)
    -> impl Future<Output = Result<()>> + Send;

    /// Has the kernel read the namespaces of a controller again.
    ///
    /// # Errors
    /// Where the controller is gone or the write fails.
    fn rescan(&self, volume: Volume<'_>, controller: &str) -> impl Future<Output = Result<()>> + Send;

    /// Deletes every controller of an NQN, in any state; ends once sysfs shows none of them.
    /// I/O that was held fails, and with it ends what hangs: so this alone does not wait for the volume's other
    /// helpers, unless a connect is among them ([`crate::ErrorKind::Pending`]).
    ///
    /// # Errors
    /// Where one is still there at the deadline. None there is success.
    fn disconnect(&self, volume: Volume<'_>, nqn: &str) -> impl Future<Output = Result<()>> + Send;
}
