//! Idle connections, kept for the next request where the device keeps them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::exchange::Connection;

/// How long an idle connection is kept. How long the device keeps one is not known; the shorter, the rarer is
/// the race between its close and our next request.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// A connection that the device closed sooner than this after an answer was not idle for too long: the device
/// closes after answers (assumption `keep-alive`).
const CLOSED_PER_ANSWER: Duration = Duration::from_secs(1);

/// For how long nothing is kept, once the device was seen to close after answers or under a request: a write on
/// a connection that is about to close has an unknown outcome, which costs far more than a handshake.
const DISTRUST: Duration = Duration::from_secs(60);

pub(super) struct Pool {
    capacity: usize,
    state: Mutex<State>,
}

struct State {
    idle: Vec<(Connection, Instant)>,
    /// Whether a connection was seen to outlive an answer. Until then writes do not rely on it: a read that
    /// meets a closing connection is read again, a write has an unknown outcome.
    device_keeps: bool,
    distrusted_until: Option<Instant>,
}

impl Pool {
    pub(super) fn new(capacity: usize) -> Self {
        let state = State { idle: Vec::new(), device_keeps: false, distrusted_until: None };
        Self { capacity, state: Mutex::new(state) }
    }

    /// An idle connection that is still open, if there is one that this request may rely on.
    pub(super) async fn take(&self, is_read: bool) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.lock().idle.pop()?;
            let idle = since.elapsed();
            if idle > IDLE_LIMIT {
                continue;
            }
            let early = idle < CLOSED_PER_ANSWER;
            if !connection.is_open().await {
                if early {
                    self.distrust();
                }
                continue;
            }
            let mut state = self.lock();
            state.device_keeps |= !early;
            if is_read || state.device_keeps {
                return Some(connection);
            }
            state.idle.push((connection, since));
            return None;
        }
    }

    /// Keeps a connection that has served, if it can serve again; `again` is one that had served before.
    pub(super) async fn give_back(&self, mut connection: Connection, again: bool) {
        let open = connection.is_open().await;
        let mut state = self.lock();
        state.device_keeps |= again;
        let now = Instant::now();
        let trusted = state.distrusted_until.is_none_or(|until| until <= now);
        if open && trusted && state.idle.len() < self.capacity {
            state.idle.push((connection, now));
        }
    }

    /// Drops what is kept, and keeps nothing for a while.
    pub(super) fn distrust(&self) {
        let distrusted_until = Some(Instant::now() + DISTRUST);
        *self.lock() = State { idle: Vec::new(), device_keeps: false, distrusted_until };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
