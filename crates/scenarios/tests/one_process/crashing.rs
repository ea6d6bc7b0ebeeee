//! A transport that crashes its controller right after the N-th write to the device.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use routeros::{Call, Error, Reply, RestTransport, RowSink, Transport};
use tokio::sync::watch;
use tokio::time::Instant;

/// Counts the writes of one controller process, and ends it after one of them.
#[derive(Clone)]
pub(crate) struct CrashPoint(Arc<State>);

struct State {
    /// Writes left until the crash; 0 is never.
    left: AtomicUsize,
    crashed: watch::Sender<bool>,
}

/// The real transport with a crash point.
pub(crate) struct Crashing {
    inner: RestTransport,
    point: CrashPoint,
}

impl CrashPoint {
    pub(crate) fn new() -> Self {
        Self(Arc::new(State { left: AtomicUsize::new(0), crashed: watch::Sender::new(false) }))
    }

    /// Crashes after the N-th write from now; 1 is the next.
    pub(crate) fn arm(&self, writes: usize) {
        self.0.left.store(writes, Ordering::SeqCst);
    }

    /// Ends once the controller crashed.
    pub(crate) async fn crashed(&self) {
        // The sender lives as long as this handle, so the only end of the wait is the crash.
        let _ = self.0.crashed.subscribe().wait_for(|crashed| *crashed).await;
    }

    async fn after_write(&self) {
        let before = self.0.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if before == Ok(1) {
            self.0.crashed.send_replace(true);
            std::future::pending::<()>().await;
        }
    }
}

impl Crashing {
    pub(crate) fn new(inner: RestTransport, point: CrashPoint) -> Self {
        Self { inner, point }
    }
}

impl Transport for Crashing {
    async fn call(&self, call: Call<'_>, deadline: Instant) -> Result<Reply, Error> {
        let reply = self.inner.call(call, deadline).await;
        if !call.is_read() {
            self.point.after_write().await;
        }
        reply
    }

    async fn print_each(
        &self,
        call: Call<'_>,
        deadline: Instant,
        each: &mut RowSink<'_>,
    ) -> Result<(), Error> {
        self.inner.print_each(call, deadline, each).await
    }
}
