//! One request of a user at a time; other users' requests do not wait.
//!
//! A request that outlives the cap is answered `Session closed`, and so is every one that waits behind it; the
//! command itself goes on (S, REST manual).

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::assumptions::{AfterDisconnect, Assumptions, Order};

/// The request outlived its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionClosed;

/// The queues of all users.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<HashMap<String, Arc<Lane>>>);

#[derive(Debug, Default)]
struct Lane(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    busy: bool,
    waiting: VecDeque<oneshot::Sender<Result<Turn, SessionClosed>>>,
}

/// The right to be served; dropping it serves the next.
#[derive(Debug)]
struct Turn {
    lane: Arc<Lane>,
    order: Order,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut queue = self.lane.queue();
            let next = match self.order {
                Order::Fifo => queue.waiting.pop_front(),
                Order::None => queue.waiting.pop_back(),
            };
            queue.busy = next.is_some();
            next
        };
        if let Some(next) = next {
            // A waiter that is gone hands the turn on by dropping it.
            let _ = next.send(Ok(Turn { lane: self.lane.clone(), order: self.order }));
        }
    }
}

impl Lane {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(self: &Arc<Self>, order: Order) -> Result<Turn, SessionClosed> {
        let waits = {
            let mut queue = self.queue();
            if !queue.busy {
                queue.busy = true;
                return Ok(Turn { lane: self.clone(), order });
            }
            let (sender, receiver) = oneshot::channel();
            queue.waiting.push_back(sender);
            receiver
        };
        waits.await.unwrap_or(Err(SessionClosed))
    }

    fn close_waiting(&self) {
        let waiting = std::mem::take(&mut self.queue().waiting);
        waiting.into_iter().for_each(|waiter| drop(waiter.send(Err(SessionClosed))));
    }
}

impl Lanes {
    /// Runs `work` when it is the user's turn, and answers with its result or at the cap.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        user: &str,
        cap: Duration,
        assumptions: &Assumptions,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, SessionClosed> {
        let lane = {
            let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            lanes.entry(user.to_owned()).or_default().clone()
        };
        let order = assumptions.order;
        let (reply, answer) = oneshot::channel();
        let task = tokio::spawn(serve(lane, order, cap, work, reply));
        let dropped = assumptions.after_disconnect == AfterDisconnect::Dropped;
        let mut guard = AbortOnDrop(dropped.then_some(task));
        let answered = answer.await.unwrap_or(Err(SessionClosed));
        guard.0 = None;
        answered
    }
}

impl Lanes {
    /// How many requests wait, of all users.
    pub(crate) fn waiting(&self) -> usize {
        let lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.values().map(|lane| lane.queue().waiting.len()).sum()
    }
}

/// Ends a request whose client went away.
struct AbortOnDrop(Option<tokio::task::JoinHandle<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn serve<T: Send>(
    lane: Arc<Lane>,
    order: Order,
    cap: Duration,
    work: impl Future<Output = T> + Send,
    reply: oneshot::Sender<Result<T, SessionClosed>>,
) {
    let turn = match lane.enter(order).await {
        Ok(turn) => turn,
        Err(closed) => return drop(reply.send(Err(closed))),
    };
    let mut work = pin!(work);
    tokio::select! {
        biased;
        () = tokio::time::sleep(cap) => {
            drop(reply.send(Err(SessionClosed)));
            lane.close_waiting();
            let kept = (order == Order::Fifo).then_some(turn);
            work.await;
            drop(kept);
        }
        done = &mut work => drop(reply.send(Ok(done))),
    }
}
