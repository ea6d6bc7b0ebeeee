//! Bursts: a helper that has answered waits a while for the next operation of its volume.

use std::collections::HashMap;
use std::os::unix::net::UnixStream as Pair;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Child;

use crate::op::{Lane, Output};
use crate::protocol::{Request, TURN};
use crate::{Error, Result};

use super::Config;
use super::dispatch::Key;
use super::process::{Files, spawn};

/// How long a helper waits: longer than the pauses within a call and between the kubelet's calls that
/// follow each other, short enough that a node at rest has no helpers.
const PATIENCE: Duration = Duration::from_secs(2);

/// A helper that is spoken to.
#[derive(Debug)]
pub(super) struct Burst {
    files: Files,
    child: Child,
    stream: UnixStream,
}

impl Burst {
    /// Starts a helper with its first request.
    pub(super) async fn start(config: &Config, files: Files, request: &Request) -> Result<Self> {
        let failed = |error| Error::io("speak to a helper on", &files.request, &error);
        let (ours, its) = Pair::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let stream = UnixStream::from_std(ours).map_err(failed)?;
        let child = spawn(config, &files, request, Stdio::from(std::os::fd::OwnedFd::from(its))).await?;
        Ok(Self { files, child, stream })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Gives the next request. A failure means that it was not begun.
    async fn ask(&mut self, request: &mut Request) -> std::io::Result<()> {
        request.answer = Some(self.files.answer.clone());
        self.files.ask(request)?;
        self.stream.write_all(&[TURN]).await
    }

    /// Waits for the answer, and gives the helper back where it lives.
    pub(super) async fn answer(mut self) -> (Result<Output>, Option<Self>) {
        let turn = self.stream.read_exact(&mut [0]).await;
        let answer = turn.ok().and_then(|_| self.files.answer());
        match answer.filter(|_| self.files.clear().is_ok()) {
            Some(result) => (result, Some(self)),
            None => (self.finish().await, None),
        }
    }

    /// Waits for the end of a helper that gave no answer, and of the tools that it started.
    async fn finish(self) -> Result<Output> {
        let Self { files, mut child, stream } = self;
        // One that lives all the same ends by this.
        drop(stream);
        let ended = child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        files.finish(&ended).await
    }

    /// Ends a helper that waits. Its files go first: it does nothing more, and the next one has its own.
    fn end(self) {
        let Self { files, mut child, stream } = self;
        files.remove();
        drop(stream);
        tokio::spawn(async move { child.wait().await });
    }
}

/// The helpers that wait, by the volume and lane that their files are named after.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    helpers: Mutex<HashMap<Key, (u64, Burst)>>,
    kept: AtomicU64,
}

impl Waiting {
    fn helpers(&self) -> MutexGuard<'_, HashMap<Key, (u64, Burst)>> {
        self.helpers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a request to a helper of the volume that waits, if there is one. A disconnect takes an ordinary one,
    /// too: what waits does not hang.
    pub(super) async fn ask(&self, (slot, lane): &Key, request: &mut Request) -> Option<(Key, Burst)> {
        for key in [Lane::Ordinary, *lane].map(|lane| (slot.clone(), lane)) {
            let waiting = self.helpers().remove(&key);
            let Some((_, mut burst)) = waiting else { continue };
            // One that was killed meanwhile has begun nothing; its lock is waited for by the one that is started.
            if burst.ask(request).await.is_ok() {
                return Some((key, burst));
            }
        }
        None
    }

    /// Lets a helper wait, until it was not needed for a while.
    pub(super) fn keep(self: &Arc<Self>, key: Key, burst: Burst) {
        let number = self.kept.fetch_add(1, Ordering::Relaxed);
        self.helpers().insert(key.clone(), (number, burst));
        let waiting = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            if let Some(waiting) = waiting.upgrade() {
                waiting.end(&key, number);
            }
        });
    }

    fn end(&self, key: &Key, number: u64) {
        let mut helpers = self.helpers();
        if helpers.get(key).is_some_and(|(kept, _)| *kept == number) {
            // Still under the mutex: nobody may start on files that are about to be removed.
            helpers.remove(key).into_iter().for_each(|(_, burst)| burst.end());
        }
    }
}
