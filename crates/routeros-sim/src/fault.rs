//! Faults: what a test lets go wrong between a request and its answer, and the log of what came.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

/// Requests that the log keeps.
const LOG_LENGTH: usize = 1000;

/// Which requests a fault meets; what is not given matches any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Matching {
    /// `PUT`
    pub method: Option<String>,
    /// A part of the path, as sent.
    pub path: Option<String>,
    /// A login name.
    pub user: Option<String>,
}

/// Before or after the command took effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Before it.
    #[default]
    Before,
    /// After it, before the answer.
    After,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// It takes longer.
    Latency {
        /// Milliseconds.
        millis: u64,
        /// At which side of the effect.
        #[serde(default)]
        when: When,
    },
    /// It waits until the fault is released.
    Hold {
        /// At which side of the effect.
        #[serde(default)]
        when: When,
    },
    /// The command takes effect, the connection is closed without an answer.
    DropReply,
    /// The command does not run; this is answered.
    Fail {
        /// HTTP status.
        status: u16,
        /// The `detail` of the body; absent when empty.
        #[serde(default)]
        detail: String,
    },
}

/// A fault as a test asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fault {
    /// Whom it meets.
    #[serde(default, rename = "match")]
    pub matching: Matching,
    /// How often; `None` until it is removed.
    #[serde(default)]
    pub times: Option<u32>,
    /// What it does.
    pub action: Action,
}

impl Fault {
    /// A fault that meets every request until removed.
    pub fn always(action: Action) -> Self {
        Self { matching: Matching::default(), times: None, action }
    }

    /// A fault that meets the next request only.
    pub fn once(action: Action) -> Self {
        Self { times: Some(1), ..Self::always(action) }
    }

    /// Only requests of this method whose path contains `path`.
    #[must_use]
    pub fn on(mut self, method: &str, path: &str) -> Self {
        self.matching.method = Some(method.to_owned());
        self.matching.path = (!path.is_empty()).then(|| path.to_owned());
        self
    }
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Seen {
    /// Counted from 1, in the order in which they were served.
    pub number: u64,
    /// When it had come whole: milliseconds since the simulator's start.
    pub came_millis: u64,
    /// When its turn came.
    pub turn_millis: u64,
    /// Who sent it, where it came over a network.
    pub peer: Option<SocketAddr>,
    /// HTTP method.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Login name.
    pub user: String,
    /// The body, as text.
    pub body: String,
}

/// A fault in force.
#[derive(Debug, Serialize)]
pub struct Active {
    /// Its number.
    pub id: u64,
    /// What it is, with the times that are left.
    #[serde(flatten)]
    pub fault: Fault,
    /// Requests that it holds or has met.
    pub met: u64,
    #[serde(skip)]
    released: watch::Sender<bool>,
}

/// All faults, and the log.
#[derive(Debug)]
pub struct Faults {
    state: Mutex<State>,
    since: Instant,
}

impl Default for Faults {
    fn default() -> Self {
        Self { state: Mutex::default(), since: Instant::now() }
    }
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    active: Vec<Active>,
    log: VecDeque<Seen>,
    count: u64,
}

/// What the faults do to one request.
#[derive(Debug, Default)]
pub(crate) struct Impact {
    pub(crate) before: Delay,
    pub(crate) after: Delay,
    pub(crate) drop_reply: bool,
    pub(crate) fail: Option<(u16, String)>,
}

/// Time that passes on one side of the effect.
#[derive(Debug, Default)]
pub(crate) struct Delay {
    latency: Duration,
    holds: Vec<watch::Receiver<bool>>,
}

impl Delay {
    pub(crate) async fn pass(&mut self) {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        for hold in &mut self.holds {
            // A fault that was removed holds nothing.
            let _ = hold.wait_for(|released| *released).await;
        }
    }
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a fault in force; the answer is its number.
    pub fn inject(&self, fault: Fault) -> u64 {
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.active.push(Active { id, fault, met: 0, released: watch::Sender::new(false) });
        id
    }

    /// Takes a fault away, or all of them; what it held goes on. Answers how many there were.
    pub fn release(&self, id: Option<u64>) -> usize {
        let mut state = self.state();
        let (ended, kept) = std::mem::take(&mut state.active)
            .into_iter()
            .partition(|fault| id.is_none_or(|id| id == fault.id));
        state.active = kept;
        let ended: Vec<Active> = ended;
        for fault in &ended {
            fault.released.send_replace(true);
        }
        ended.len()
    }

    /// How many requests a fault has met; 0 once it is gone.
    pub fn met(&self, id: u64) -> u64 {
        self.state().active.iter().find(|fault| fault.id == id).map_or(0, |fault| fault.met)
    }

    /// Looks at the faults in force.
    pub fn with_active<T>(&self, look: impl FnOnce(&[Active]) -> T) -> T {
        look(&self.state().active)
    }

    /// The last requests, oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        self.state().log.iter().cloned().collect()
    }

    /// How many requests came.
    pub fn count(&self) -> u64 {
        self.state().count
    }

    /// Forgets the log and the count.
    pub fn forget_requests(&self) {
        let mut state = self.state();
        (state.log, state.count) = (VecDeque::new(), 0);
    }

    /// Milliseconds since the simulator's start, as the log counts them.
    pub(crate) fn millis(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Logs a request, whose turn has come, and says what happens to it.
    pub(crate) fn meet(&self, mut seen: Seen) -> Impact {
        seen.turn_millis = self.millis();
        let mut state = self.state();
        let mut impact = Impact::default();
        for active in &mut state.active {
            if active.fault.times == Some(0) || !active.fault.matching.holds(&seen) {
                continue;
            }
            // Only one fault can answer for the command.
            if impact.fail.is_some() && matches!(active.fault.action, Action::Fail { .. }) {
                continue;
            }
            active.met += 1;
            active.fault.times = active.fault.times.map(|times| times - 1);
            active.strike(&mut impact);
        }
        // Spent holds stay until they are released.
        state.active.retain(|a| a.fault.times != Some(0) || matches!(a.fault.action, Action::Hold { .. }));
        state.count += 1;
        seen.number = state.count;
        state.log.push_back(seen);
        if state.log.len() > LOG_LENGTH {
            state.log.pop_front();
        }
        impact
    }
}

impl Active {
    fn strike(&self, impact: &mut Impact) {
        match &self.fault.action {
            Action::Latency { millis, when } => {
                impact.side(*when).latency += Duration::from_millis(*millis);
            }
            Action::Hold { when } => impact.side(*when).holds.push(self.released.subscribe()),
            Action::DropReply => impact.drop_reply = true,
            Action::Fail { status, detail } => impact.fail = Some((*status, detail.clone())),
        }
    }
}

impl Impact {
    fn side(&mut self, when: When) -> &mut Delay {
        match when {
            When::Before => &mut self.before,
            When::After => &mut self.after,
        }
    }
}

impl Matching {
    fn holds(&self, seen: &Seen) -> bool {
        self.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(&seen.method))
            && self.path.as_ref().is_none_or(|path| seen.path.contains(path.as_str()))
            && self.user.as_ref().is_none_or(|user| *user == seen.user)
    }
}
