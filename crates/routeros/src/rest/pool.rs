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
    distrusted_until: Option<Instant>,
}

impl Pool {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::new(State { idle: Vec::new(), distrusted_until: None }) }
    }

    /// An idle connection that is still open.
    pub(super) async fn take(&self) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.lock().idle.pop()?;
            let idle = since.elapsed();
            if idle > IDLE_LIMIT {
                continue;
            }
            if connection.is_open().await {
                return Some(connection);
            }
            if idle < CLOSED_PER_ANSWER {
                self.distrust();
            }
        }
    }

    /// Keeps a connection that has served, if it can serve again.
    pub(super) async fn give_back(&self, mut connection: Connection) {
        if !connection.is_open().await {
            return;
        }
        let mut state = self.lock();
        let now = Instant::now();
        if state.idle.len() < self.capacity && state.distrusted_until.is_none_or(|until| until <= now) {
            state.idle.push((connection, now));
        }
    }

    /// Drops what is kept, and keeps nothing for a while.
    pub(super) fn distrust(&self) {
        let mut state = self.lock();
        state.idle.clear();
        state.distrusted_until = Some(Instant::now() + DISTRUST);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
