//! Whether the API server is ready: one cheap request, which anybody may send.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::{Error, Result};

/// It answers from memory; one that is starting may leave a request unanswered.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks the API server whether it is ready. A kubectl would do so for a hundred times as much of the core that the
/// server needs to become it.
#[derive(Debug)]
pub(super) struct Readiness {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Readiness {
    /// For the API server at that address, with a certificate of this authority.
    pub(super) fn new(address: SocketAddr, authority: &Path) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::host(authority.display().to_string())(std::io::Error::other(error.to_string()))
        };
        let certificate = CertificateDer::from_pem_file(authority).map_err(|error| failed(&error))?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(|error| failed(&error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| failed(&error))?.with_root_certificates(roots);
        Ok(Self { address, config: Arc::new(config.with_no_client_auth()) })
    }

    /// Whether it says that it is; not where it does not answer.
    pub(super) fn is_ready(&self) -> bool {
        self.ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    fn ask(&self) -> std::io::Result<String> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let name = ServerName::from(self.address.ip());
        let connection = ClientConnection::new(Arc::clone(&self.config), name);
        let mut stream = StreamOwned::new(connection.map_err(std::io::Error::other)?, stream);
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: kubernetes\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
