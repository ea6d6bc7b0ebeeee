//! The asynchronous runtime, and the signal that ends the process.

use std::future::Future;

use anyhow::Context;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// Two, so that one handler that is busy does not keep `/livez` from answering; more would only
/// cost memory, since the driver waits for a device or a kernel nearly all of its time.
const WORKERS: usize = 2;

/// Runs `serving` to its end. The token is cancelled at SIGTERM or SIGINT.
pub(crate) fn run<F>(serving: impl FnOnce(CancellationToken) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.context("cannot start threads").map_err(Failure::Setup)?;
    let ended = runtime.block_on(async {
        let stop = stop_signal().map_err(Failure::Setup)?;
        serving(stop).await
    });
    // What could hang was abandoned at its deadline: a thread in the kernel must not hold the exit.
    runtime.shutdown_background();
    ended
}

fn stop_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch SIGINT")?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping: what runs is finished first");
        stopping.cancel();
    });
    Ok(stop)
}
