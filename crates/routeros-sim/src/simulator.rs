//! The device in a process: started, served over sockets or any stream, looked at, broken, rebooted.

mod boot;
mod handle;
mod http;
mod listen;
mod login;
mod seed;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::config::Config;
use crate::fault::Faults;
use crate::lane::Lanes;
use crate::machine::Machine;
use crate::plane::record::Recording;
pub use handle::{Handle, Reboot};
use login::Logins;
pub use tls::{Identity, TlsError};

/// How a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS.
    Https,
}

/// A running device. Dropping it is a crash: connections and listeners end, the state directory stays.
pub struct Simulator {
    shared: Arc<Shared>,
    tasks: Mutex<tokio::task::JoinSet<()>>,
}

/// What connections and handles share.
struct Shared {
    machine: Arc<Machine>,
    recording: Option<Arc<Recording>>,
    faults: Faults,
    lanes: Lanes,
    logins: Logins,
    /// Whether the device is on; connections live no longer than it is.
    power: watch::Sender<bool>,
    latency: Mutex<Duration>,
    session_cap: Duration,
    rest_plain: bool,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.power.send_replace(false);
        self.shared.machine.crash();
    }
}

impl Simulator {
    /// Starts a device, booted, on the present runtime; nothing listens yet.
    ///
    /// # Errors
    /// The state cannot be read or the data plane not be cleared.
    pub async fn start(config: Config) -> io::Result<Self> {
        let shared = tokio::task::spawn_blocking(move || boot::cold(config)).await??;
        Ok(Self { shared: Arc::new(shared), tasks: Mutex::default() })
    }

    /// Looks into the device and breaks it.
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.clone())
    }

    /// Serves plain HTTP; port 0 takes a free one. Answers the address.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn listen_http(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        self.listen(address, None).await
    }

    /// Serves HTTPS with this certificate.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn listen_https(&self, address: SocketAddr, identity: &Identity) -> io::Result<SocketAddr> {
        let acceptor = identity.acceptor(self.shared.machine.assumptions().tls).map_err(io::Error::other)?;
        self.listen(address, Some(acceptor)).await
    }

    async fn listen(
        &self,
        address: SocketAddr,
        tls: Option<tokio_rustls::TlsAcceptor>,
    ) -> io::Result<SocketAddr> {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let mut tasks = self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tasks.spawn(listen::serve(self.shared.clone(), listener, address, tls));
        Ok(address)
    }

    /// Serves one connection over any stream, such as one half of `tokio::io::duplex`, until either side ends
    /// it or the device goes down.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, scheme: Scheme) {
        http::connection(self.shared.clone(), stream, http::Client { scheme, peer: None }).await;
    }

    /// Serves one connection in the background.
    pub fn spawn_serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, scheme: Scheme) {
        let mut tasks = self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tasks.spawn(http::connection(self.shared.clone(), stream, http::Client { scheme, peer: None }));
    }

    /// Ends serving in good order: exports closed, connections ended.
    ///
    /// # Errors
    /// The data plane could not be cleared.
    pub async fn shutdown(self) -> io::Result<()> {
        self.shared.power.send_replace(false);
        let machine = self.shared.machine.clone();
        tokio::task::spawn_blocking(move || machine.power_off(false)).await?
    }
}
