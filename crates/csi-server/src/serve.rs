//! The server: from a bound socket to a graceful stop.

use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::Routes;
use tonic::transport::{self, Server};

use crate::call::CallLayer;
use crate::endpoint::bound::BoundEndpoint;

/// Bytes of one message in either direction: what Go's gRPC clients (all sidecars, the kubelet)
/// take at most. To be set on each generated service.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// How long a stop waits for what runs. Below the 30 s that Kubernetes gives a pod by default,
/// with room for what is stopped after it.
pub const STOP_GRACE: Duration = Duration::from_secs(25);

/// Calls at once per connection. A sidecar has some tens of workers; this bounds a broken one.
const MAX_STREAMS: u32 = 256;

/// Why serving ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("the gRPC server failed")]
    Transport(#[from] transport::Error),
    /// Calls that had not ended when the grace was over.
    #[error("calls were still running {} s after the stop", grace.as_secs())]
    StillRunning {
        /// What they were given.
        grace: Duration,
    },
}

/// Serves `routes` on `bound` until `shutdown` resolves; then takes no more calls, waits up to
/// `grace` for those that run (also those whose client has left), and removes the socket.
///
/// # Errors
/// [`ServeError`]; the socket is removed in any case.
pub async fn serve(
    bound: BoundEndpoint,
    routes: Routes,
    calls: CallLayer,
    shutdown: impl Future<Output = ()> + Send,
    grace: Duration,
) -> Result<(), ServeError> {
    let (listener, _removed_at_the_end) = bound.into_parts();
    let running = calls.running().clone();
    let (stopping, stopped) = oneshot::channel();
    let signal = async move {
        shutdown.await;
        // The receiver lives as long as the server that polls this future.
        let _ = stopping.send(Instant::now() + grace);
    };
    let server = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .layer(calls)
        .add_routes(routes)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), signal);
    let everything = async {
        server.await?;
        running.close();
        running.wait().await;
        Ok(())
    };
    tokio::select! {
        ended = everything => ended,
        () = grace_over(stopped) => Err(ServeError::StillRunning { grace }),
    }
}

/// Resolves when the grace that began with the stop is over; never before a stop.
async fn grace_over(stopped: oneshot::Receiver<Instant>) {
    if let Ok(end) = stopped.await {
        sleep_until(end).await;
    } else {
        std::future::pending().await
    }
}
