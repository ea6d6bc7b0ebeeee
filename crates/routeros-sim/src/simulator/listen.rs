//! Sockets: closed while the device is down, back on the same address when it is up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::http::Client;
use super::{Scheme, Shared, http};

/// How soon a lost address is tried again: another process may hold it for a moment.
const REBIND: Duration = Duration::from_millis(50);

/// Accepts connections for ever.
pub(super) async fn serve(
    shared: Arc<Shared>,
    first: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
) {
    let mut power = shared.power.subscribe();
    let mut listener = Some(first);
    loop {
        if power.wait_for(|on| *on).await.is_err() {
            return;
        }
        let bound = match listener.take() {
            Some(listener) => listener,
            None => bind(address).await,
        };
        tokio::select! {
            () = accept(&shared, &bound, tls.as_ref()) => {}
            _ = power.wait_for(|on| !on) => {}
        }
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => tracing::warn!(%error, %address, "cannot listen again yet"),
        }
        tokio::time::sleep(REBIND).await;
    }
}

async fn accept(shared: &Arc<Shared>, listener: &TcpListener, tls: Option<&TlsAcceptor>) {
    // Dropping the set ends its connections with the device.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(shared.clone(), stream, peer, tls.cloned()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(REBIND).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
    // Small answers must not wait for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let client = |scheme| Client { scheme, peer: Some(peer) };
    match tls {
        None => http::connection(shared, stream, client(Scheme::Http)).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => http::connection(shared, stream, client(Scheme::Https)).await,
            Err(error) => tracing::debug!(%error, "TLS handshake failed"),
        },
    }
}
