//! Connections to a device: TCP that can be aborted, TLS that is checked.

mod tcp;
pub(crate) mod tls;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::error::Error as RouterOsError;
use tls::Trust;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The name has no address, or none of them took the connection.
    #[error("cannot connect to {host} port {port}")]
    Tcp {
        /// The device's name or address.
        host: String,
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The handshake failed.
    #[error("TLS handshake with {host} failed")]
    Tls {
        /// The device's name or address.
        host: String,
        /// What TLS said.
        source: io::Error,
    },
    /// The host is neither a name nor an address.
    #[error("{0:?} is not a host name")]
    Host(String),
}

/// Makes connections: TCP, with TLS for `https`.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
}

impl Connector {
    /// A connector that trusts as told.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Configuration`] if the CA file cannot be used.
    pub fn new(trust: &Trust) -> Result<Self, RouterOsError> {
        Ok(Self::with_config(tls::client_config(trust)?))
    }

    fn with_config(config: ClientConfig) -> Self {
        Self { tls: TlsConnector::from(Arc::new(config)) }
    }
}

impl Service<Uri> for Connector {
    type Response = Box<dyn Io>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Box<dyn Io>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = (uri.scheme_str() == Some("https")).then(|| self.tls.clone());
        Box::pin(connect(tls, uri))
    }
}

async fn connect(tls: Option<TlsConnector>, uri: Uri) -> Result<Box<dyn Io>, ConnectError> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let connected = tcp::connect(&host, port).await;
    let tcp = match connected {
        Ok(tcp) => tcp,
        Err(source) => return Err(ConnectError::Tcp { host, port, source }),
    };
    let Some(tls) = tls else { return Ok(Box::new(tcp)) };
    let name = ServerName::try_from(host.clone()).map_err(|_| ConnectError::Host(host.clone()))?;
    let stream = tls.connect(name, tcp).await.map_err(|source| ConnectError::Tls { host, source })?;
    Ok(Box::new(stream))
}

/// A byte stream to a device.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for I {}

/// Whether a failed connection is TLS's own doing, rather than the network's underneath it.
pub(crate) fn is_tls_failure(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        // An io::Error gives its payload's source as its own, never the payload itself.
        let payload = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        error.is::<rustls::Error>() || payload.is_some_and(|payload| payload.is::<rustls::Error>())
    })
}
