//! Side effects, counted, and the crash after the N-th.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The side effects of one driver process: what it has changed outside itself, in order.
///
/// A driver under test may report its own (the files that it keeps) by [`Effects::after`].
#[derive(Clone, Debug)]
pub struct Effects(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    crashed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<String>,
    crash_after: Option<usize>,
}

impl Effects {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), crashed: watch::Sender::new(false) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Crashes the driver right after its N-th effect from now (1 is the next): no call of it ends any more.
    pub fn crash_after(&self, effects: usize) {
        let mut state = self.state();
        state.crash_after = Some(state.log.len() + effects);
    }

    /// How many effects there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state().log.len()
    }

    /// What the effects were.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Ends once the driver crashed.
    pub async fn crashed(&self) {
        // The sender lives as long as this handle, so the only end of the wait is the crash.
        let _ = self.0.crashed.subscribe().wait_for(|crashed| *crashed).await;
    }

    /// Whether the driver crashed.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        *self.0.crashed.borrow()
    }

    /// Says that something was changed; never ends where that was the last thing that the driver did.
    pub async fn after(&self, what: &str) {
        if self.is_crashed() || self.note(what) {
            std::future::pending::<()>().await;
        }
    }

    /// Counts an effect; whether the driver crashes after it.
    pub(super) fn note(&self, what: &str) -> bool {
        let mut state = self.state();
        state.log.push(what.to_owned());
        let crash = state.crash_after == Some(state.log.len());
        drop(state);
        if crash {
            self.0.crashed.send_replace(true);
        }
        crash
    }

    pub(super) fn crash(&self) {
        self.0.crashed.send_replace(true);
    }
}
