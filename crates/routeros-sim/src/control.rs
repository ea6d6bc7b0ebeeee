//! The control port: a small JSON API for whoever tests a client, on loopback only.

mod route;

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::simulator::Handle;

/// The largest body, in bytes: 10,000 seeded disks take some 2 MiB.
const LARGEST_BODY: usize = 16 << 20;

/// The control port.
#[derive(Debug)]
pub struct Control {
    listener: TcpListener,
    address: SocketAddr,
}

/// What an answer is made of.
struct Answer {
    status: u16,
    body: serde_json::Value,
}

impl Control {
    /// Listens; whoever reaches it owns the device, so only a loopback address is taken.
    ///
    /// # Errors
    /// The address is not a loopback one or cannot be bound.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let message = format!("the control port must be on a loopback address, not {address}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until dropped; the device may be down meanwhile.
    pub async fn serve(self, handle: Handle) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(connection(stream, handle.clone()))),
                    Err(error) => tracing::warn!(%error, "cannot accept on the control port"),
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn connection(stream: TcpStream, handle: Handle) {
    let service = service_fn(move |request| {
        let handle = handle.clone();
        async move { Ok::<_, std::convert::Infallible>(respond(&handle, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "control connection ended");
    }
}

async fn respond(handle: &Handle, request: http::Request<Incoming>) -> http::Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let answer = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => route::route(handle, &parts.method, parts.uri.path(), &body.to_bytes()).await,
        Err(error) => Answer::error(400, &error.to_string()),
    };
    let mut response = http::Response::new(Full::from(answer.body.to_string()));
    *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or_default();
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

impl Answer {
    fn ok(body: serde_json::Value) -> Self {
        Self { status: 200, body }
    }

    fn error(status: u16, message: &str) -> Self {
        Self { status, body: serde_json::json!({ "error": message }) }
    }
}
