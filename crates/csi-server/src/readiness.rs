//! Whether the plugin can serve, with the reason if not; shared, answered from memory.

use tokio::sync::watch;

/// What a plugin knows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadyState {
    /// Calls can be served.
    Ready,
    /// Calls would fail now; the text says why, for people.
    NotReady(String),
}

/// A shared readiness flag. Clones share it.
///
/// ```text
/// NotReady(reason) ──set_ready──► Ready ──set_not_ready(reason)──► NotReady(reason)
/// ```
#[derive(Clone, Debug)]
pub struct Readiness {
    state: watch::Sender<ReadyState>,
}

impl Readiness {
    /// Starts as not ready, with the reason.
    pub fn not_ready(reason: impl Into<String>) -> Self {
        Self { state: watch::Sender::new(ReadyState::NotReady(reason.into())) }
    }

    /// Starts as ready: for a plugin that depends on nothing outside of its process.
    pub fn ready() -> Self {
        Self { state: watch::Sender::new(ReadyState::Ready) }
    }

    /// From now on calls can be served. True if that is news.
    pub fn set_ready(&self) -> bool {
        self.set(ReadyState::Ready)
    }

    /// From now on calls would fail, because of `reason`. True if the state or reason is news.
    pub fn set_not_ready(&self, reason: impl Into<String>) -> bool {
        self.set(ReadyState::NotReady(reason.into()))
    }

    /// The state now.
    pub fn state(&self) -> ReadyState {
        self.state.borrow().clone()
    }

    /// Follows the changes.
    pub fn subscribe(&self) -> watch::Receiver<ReadyState> {
        self.state.subscribe()
    }

    fn set(&self, new: ReadyState) -> bool {
        self.state.send_if_modified(|state| {
            let changed = *state != new;
            *state = new;
            changed
        })
    }
}
