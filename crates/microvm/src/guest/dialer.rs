//! Connections that begin in a guest, for the host.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Weak};

use super::forward;
use super::machine::Machine;
use crate::{Error, Result};

/// Opens connections from within a guest: to the guest itself, and to whatever it can reach. They go over the
/// management link, which is never cut.
#[derive(Clone, Debug)]
pub struct Dialer {
    name: String,
    machine: Weak<Machine>,
}

impl Dialer {
    pub(super) fn new(machine: &Arc<Machine>) -> Self {
        Self { name: machine.name().to_owned(), machine: Arc::downgrade(machine) }
    }

    /// A connection to an address that the guest can reach.
    ///
    /// # Errors
    /// [`Error::NotRunning`]; [`Error::Agent`] with what the guest's system says.
    pub fn connect(&self, to: SocketAddr) -> Result<TcpStream> {
        let machine = self.machine.upgrade().ok_or_else(|| Error::NotRunning(self.name.clone()))?;
        forward::open(&machine, &format!("tcp:{to}"))
    }
}
