//! What a new leader does before it answers its first call (attachments.md, "Leadership"): it waits for what the last
//! one may have sent, reads everything, and reconciles once.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use routeros::Transport;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use volume::Reason;

use crate::reconcile::Survey;
use crate::{Controller, events};

/// How long the barrier may take: the device serves what came before it first, and gives each of that up at its cap.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(90);

impl<T: Transport> Controller<T> {
    /// Rebuilds, once; calls are served from then on.
    ///
    /// # Errors
    /// Why it cannot be done now: the device or the API server does not answer.
    pub(crate) async fn rebuild(&self, stop: &CancellationToken) -> Result<(), String> {
        let began = Instant::now();
        self.hear_what_was_told();
        let read = stop.run_until_cancelled(self.read_after_the_last_leader()).await;
        let survey = read.unwrap_or_else(|| Err("the controller is stopping".to_owned()))?;
        let (volumes, attachments) = (survey.volumes, survey.attachments);
        self.gate.read(survey.highest_term);
        let candidates = survey.adopted(self);
        let looked = self.look_at_some(&candidates, stop).await;
        let done = looked.map_err(|error| error.message().to_owned())?;
        self.gate.rebuilt();
        let message = events::rebuilt(attachments, volumes, done, began.elapsed());
        tracing::info!(term = self.gate.term(), "{message}");
        self.tell_of_self(Reason::StartupReconciliation, message);
        Ok(())
    }

    /// What the watches told so far is seen by what is read from now on, and calls for no look of its own.
    fn hear_what_was_told(&self) {
        if let Some(cluster) = &self.cluster {
            let told = pin!(cluster.changed());
            let _ = told.poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    async fn read_after_the_last_leader(&self) -> Result<Survey, String> {
        sleep_until(self.writes.last_leader_done()).await;
        let barrier = self.client.until(Instant::now() + BARRIER_TIMEOUT).barrier().await;
        barrier.map_err(|error| format!("waiting for earlier requests: {}", error.report()))?;
        self.survey().await.map_err(|error| error.message().to_owned())
    }
}
