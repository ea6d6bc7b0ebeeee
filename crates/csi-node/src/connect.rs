//! Connecting (node.md rule 3): resolve, probe, and only then the kernel.

use host::{Connection, Host, Probe, Volume};
use tokio::time::{Duration, Instant, sleep};
use tonic::Code;
use volume::{PublishContext, Tunables};

use crate::Node;
use crate::attached::{self, Attached, Hindrance, look_up};
use crate::error::{Result, host_code};

/// Linux: the NQN is connected already (node.md K11).
const EALREADY: i32 = 114;
/// A name and a probe are given a part of the call's time, so that the rest can still answer.
const PROBE_TIME: Duration = Duration::from_secs(10);
/// The kernel scans a new controller's namespaces after the connect has returned. Tens of
/// milliseconds on a LAN; more than this is not a matter of waiting.
const NAMESPACE_TIME: Duration = Duration::from_secs(5);
/// How often sysfs is looked at meanwhile.
const NAMESPACE_STEP: Duration = Duration::from_millis(5);

/// Why a volume could not be connected: each of the three cases needs something else done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("address {address} of {nqn} cannot be resolved: {source}")]
    Unresolved { nqn: String, address: String, source: host::Error },
    #[error("target {address} of {nqn} does not answer: {seen}; check the network and the device")]
    Unreachable { nqn: String, address: String, seen: String },
    #[error(
        "target {address} answers, but knows no {nqn}: this attachment is not exported (any more); nothing was touched"
    )]
    NqnUnknown { nqn: String, address: String },
    #[error(
        "target {address} knows {nqn}, but refuses host {host}: check its allow list; nothing was touched"
    )]
    HostRefused { nqn: String, address: String, host: String },
    #[error("connecting {nqn} at {address} failed: {source}")]
    Kernel { nqn: String, address: String, source: host::Error },
}

impl ConnectError {
    /// Where it was connected to, `address:port`.
    pub(crate) fn target(&self) -> &str {
        match self {
            Self::Unresolved { address, .. }
            | Self::Unreachable { address, .. }
            | Self::NqnUnknown { address, .. }
            | Self::HostRefused { address, .. }
            | Self::Kernel { address, .. } => address,
        }
    }

    /// Never final: a device that boots refuses too.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Kernel { source, .. } => host_code(source.kind),
            _ => Code::Unavailable,
        }
    }
}

/// Resolves and asks the target; the connection that it would accept.
pub(crate) async fn probe<H: Host>(
    node: &Node<H>,
    context: &PublishContext,
    tunables: Tunables,
    deadline: Instant,
) -> Result<Connection> {
    let (nqn, shown) = (context.nqn.to_string(), context.address.to_string());
    let deadline = deadline.min(Instant::now() + PROBE_TIME);
    let address = match node.host.resolve(&context.address, deadline).await {
        Ok(address) => address,
        Err(source) => return Err(ConnectError::Unresolved { nqn, address: shown, source }.into()),
    };
    let host = context.host.clone().unwrap_or_else(|| node.fallback_host.clone());
    let connection = Connection { nqn: context.nqn.clone(), address, host, tunables };
    let address = address.to_string();
    match node.host.probe(&connection, deadline).await {
        Probe::Accepted => Ok(connection),
        Probe::NqnUnknown => Err(ConnectError::NqnUnknown { nqn, address }.into()),
        Probe::HostRefused => {
            Err(ConnectError::HostRefused { nqn, address, host: connection.host.nqn }.into())
        }
        Probe::Unreachable(seen) => Err(ConnectError::Unreachable { nqn, address, seen }.into()),
    }
}

/// Has the kernel connect what a probe found accepted.
pub(crate) async fn connect<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    connection: &Connection,
) -> Result<()> {
    match node.host.connect(volume, connection).await {
        Ok(()) => Ok(()),
        // An earlier helper was faster: the look-up says what it made.
        Err(error) if error.kind == host::ErrorKind::Refused(Some(EALREADY)) => Ok(()),
        Err(source) => {
            let (nqn, address) = (connection.nqn.to_string(), connection.address.to_string());
            Err(ConnectError::Kernel { nqn, address, source }.into())
        }
    }
}

/// Finds the volume's device, with one rescan where it is not there or too small (node.md rule 1).
pub(crate) async fn find<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    nqn: &str,
    least: u64,
) -> Result<Attached> {
    let first = wait_for_namespace(node, nqn, least, volume.deadline).await?;
    if !matches!(first, Err(Hindrance::NoNamespace { .. } | Hindrance::TooSmall { .. })) {
        return Ok(first?);
    }
    let subsystems = node.host.subsystems().await?;
    for controller in attached::live_controllers(&subsystems, nqn) {
        node.host.rescan(volume, controller).await?;
    }
    Ok(wait_for_namespace(node, nqn, least, volume.deadline).await??)
}

/// Looks until the namespace of a live controller is there, or that is no matter of waiting any more.
async fn wait_for_namespace<H: Host>(
    node: &Node<H>,
    nqn: &str,
    least: u64,
    deadline: Instant,
) -> Result<std::result::Result<Attached, Hindrance>> {
    let until = deadline.min(Instant::now() + NAMESPACE_TIME);
    loop {
        let seen = look_up(&node.host.subsystems().await?, nqn, least);
        let waits = matches!(seen, Err(Hindrance::NoNamespace { .. }));
        if !waits || Instant::now() >= until {
            return Ok(seen);
        }
        sleep(NAMESPACE_STEP).await;
    }
}
