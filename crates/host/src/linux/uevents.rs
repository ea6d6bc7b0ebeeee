//! The kernel's uevents as a wake: what changed is for the woken to look at.

use std::io;

use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::helper::Uevents;

/// Listens for as long as somebody has a receiver. Called within a tokio runtime.
pub(super) fn listen() -> watch::Receiver<()> {
    let (woken, receiver) = watch::channel(());
    #[expect(
        deprecated,
        reason = "the socket owns its descriptor; what replaces this is unsafe, which is forbidden here"
    )]
    let registered = Uevents::listen().map_err(io::Error::other).and_then(AsyncFd::new);
    match registered {
        Ok(socket) => {
            tokio::spawn(async move {
                if let Err(error) = forward(&socket, &woken).await {
                    tracing::warn!(%error, "the kernel's uevents are heard no longer: changes are seen by looking only");
                    woken.closed().await;
                }
            });
        }
        Err(error) => {
            tracing::warn!(%error, "the kernel's uevents cannot be heard: changes are seen by looking only");
            // A closed channel would be a wake that never ends.
            tokio::spawn(async move { woken.closed().await });
        }
    }
    receiver
}

/// Ends well once nobody listens.
async fn forward(socket: &AsyncFd<Uevents>, woken: &watch::Sender<()>) -> io::Result<()> {
    loop {
        let mut ready = tokio::select! {
            ready = socket.readable() => ready?,
            () = woken.closed() => return Ok(()),
        };
        if ready.get_inner().take_nvme()? {
            woken.send_replace(());
        }
        ready.clear_ready();
    }
}
