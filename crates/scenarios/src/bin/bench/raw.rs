//! The least that a client can do: one request, one answer, on a connection that is kept where the device keeps it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// A raw client of one server: a device, or an API server.
pub(crate) struct Raw {
    runtime: Runtime,
    address: String,
    tls: tokio_rustls::TlsConnector,
    authorization: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Raw {
    /// A client of the server at `address` (host and port) whose certificate this is, or is signed by; `authorization`
    /// is what the header of that name says.
    pub(crate) fn new(address: &str, certificate: &Path, authorization: String) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            address: address.to_owned(),
            tls: Arc::new(config).into(),
            authorization,
            connection: None,
        })
    }

    /// Sends one request and reads its answer; its time is the caller's to take.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let (connection, tls, address) = (self.connection.take(), self.tls.clone(), self.address.clone());
        let (connection, answer) = self.runtime.block_on(async move {
            let mut connection = match connection {
                Some(kept) => kept,
                None => connect(&tls, &address).await?,
            };
            let response = connection.send_request(request).await?;
            let status = response.status();
            let bytes = response.into_body().collect().await?.to_bytes();
            if !status.is_success() {
                bail!("{status}: {}", String::from_utf8_lossy(&bytes));
            }
            // The connection's task learns of a close only once it has run again.
            let kept = tokio::time::timeout(Duration::from_millis(1), connection.ready()).await;
            anyhow::Ok((matches!(kept, Ok(Ok(()))).then_some(connection), bytes))
        })?;
        self.connection = connection;
        if answer.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&answer).context("JSON") }
    }
}

async fn connect(tls: &tokio_rustls::TlsConnector, address: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let stream = tls.connect(ServerName::try_from(host.to_owned())?, stream).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
