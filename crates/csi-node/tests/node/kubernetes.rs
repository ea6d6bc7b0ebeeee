//! Kubernetes in memory: events that are heard, and a VolumeAttachment that answers as it is told to.

use std::sync::{Arc, Mutex};

use csi_node::{Attachments, Standing, Unanswered};
use tokio::time::Instant;
use volume::{ClusterHash, Event, Events, Slot};

/// The mark of the cluster that the node is in.
pub(crate) const CLUSTER: &str = "00112233";

/// The events that were posted.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    /// Those since the last look.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Events for Heard {
    fn post(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// How the API server is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Server {
    #[default]
    Answers,
    Refuses,
    /// Longer than any deadline.
    Hangs,
}

/// This node's VolumeAttachment. Clones are one.
#[derive(Clone)]
pub(crate) struct FakeAttachments(Arc<Mutex<State>>);

struct State {
    server: Server,
    member: Option<String>,
    standing: Standing,
    asked: usize,
}

impl FakeAttachments {
    /// Of a volume attached under a generation that is not told.
    pub(crate) fn new() -> Self {
        let (server, standing) = (Server::Answers, Standing::Attached(None));
        Self(Arc::new(Mutex::new(State { server, member: None, standing, asked: 0 })))
    }

    pub(crate) fn set_server(&self, server: Server) {
        self.0.lock().unwrap().server = server;
    }

    pub(crate) fn annotate(&self, member: Option<&str>) {
        self.0.lock().unwrap().member = member.map(str::to_owned);
    }

    pub(crate) fn set_standing(&self, standing: Standing) {
        self.0.lock().unwrap().standing = standing;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    async fn answer<T>(&self, of: impl FnOnce(&State) -> T) -> Result<T, Unanswered> {
        let (server, answer) = {
            let mut state = self.0.lock().unwrap();
            state.asked += 1;
            (state.server, of(&state))
        };
        match server {
            Server::Answers => Ok(answer),
            Server::Refuses => Err(Unanswered("forbidden".into())),
            Server::Hangs => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl Attachments for FakeAttachments {
    async fn unfenced_member(&self, _: &Slot, _: Instant) -> Result<Option<String>, Unanswered> {
        self.answer(|state| state.member.clone()).await
    }

    /// Remembered from before, whatever the server does now.
    async fn cluster(&self, _: Instant) -> Result<ClusterHash, Unanswered> {
        self.0.lock().unwrap().asked += 1;
        Ok(ClusterHash::parse(CLUSTER).unwrap())
    }

    async fn standing(&self, _: &Slot, _: Instant) -> Result<Standing, Unanswered> {
        self.answer(|state| state.standing).await
    }
}
