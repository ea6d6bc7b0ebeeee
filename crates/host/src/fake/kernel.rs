//! The driver's hold on a fake node.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};
use volume::Slot;

use crate::op::{Op, Output};
use crate::request::Machine;
use crate::{Error, ErrorKind, Host, Result, Volume};

use super::effects::Effects;
use super::fabric::FakeFabric;
use super::node::{KernelVersion, Node};
use super::run::Outcome;
use super::world::{Kernel, Shared};

/// One node as one driver process has it. Clones are the same process.
#[derive(Clone)]
pub struct FakeKernel {
    pub(super) shared: Arc<Shared>,
    pub(super) node: usize,
    pub(super) effects: Effects,
}

impl FakeKernel {
    /// A node of the fabric's world, with nothing but its local drive.
    #[must_use]
    pub fn new(fabric: &FakeFabric, name: &str, version: KernelVersion) -> Self {
        let node = Node::new(name, version);
        let effects = node.effects.clone();
        let index = fabric.shared.with(|world| {
            world.nodes.push(node);
            world.nodes.len() - 1
        });
        Self { shared: fabric.shared.clone(), node: index, effects }
    }

    /// The side effects of this driver process.
    #[must_use]
    pub fn effects(&self) -> &Effects {
        &self.effects
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Kernel<'_>) -> T) -> T {
        self.shared.with(|world| change(&mut world.kernel(self.node)))
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Kernel<'_>) -> T) -> T {
        self.shared.look(|world| look(&mut world.kernel(self.node)))
    }

    /// Never ends for a driver that crashed.
    pub(super) async fn alive(&self) {
        if self.effects.is_crashed() {
            std::future::pending::<()>().await;
        }
    }

    /// Changes something at once, not in a helper.
    pub(super) async fn change(&self, change: impl FnOnce(&mut Kernel<'_>) -> Result<()>) -> Result<()> {
        self.alive().await;
        let answer = self.with(change);
        self.alive().await;
        answer
    }

    /// Waits for `outcome` until the deadline; `None` where it has not come.
    async fn wait(&self, outcome: &Outcome, deadline: Instant) -> Option<Result<Output>> {
        let mut changed = self.shared.changed.subscribe();
        loop {
            let timer = self.look(|kernel| kernel.next_timer());
            self.alive().await;
            if let Some(result) = outcome.get() {
                return Some(result.clone());
            }
            if Instant::now() >= deadline {
                return None;
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = sleep_until(timer.map_or(deadline, |timer| timer.min(deadline))) => {}
            }
        }
    }
}

impl Machine for FakeKernel {
    async fn run(&self, volume: Volume<'_>, op: Op) -> Result<Output> {
        loop {
            self.alive().await;
            match self.with(|kernel| kernel.begin(volume.slot, &op)) {
                Ok(outcome) => {
                    let result = self.wait(&outcome, volume.deadline).await;
                    let message =
                        format!("{} of {} has not ended in time; it goes on", op.name(), volume.slot);
                    let result = result.ok_or_else(|| Error::new(ErrorKind::Abandoned, message))?;
                    self.look(|kernel| kernel.forget(volume.slot, &outcome));
                    return self.look(|kernel| kernel.node.untold.answer(volume.slot, &op, result));
                }
                Err((other, outcome)) => {
                    let message = format!("{other} of {} is still running", volume.slot);
                    let ended = self.wait(&outcome, volume.deadline).await;
                    ended.ok_or_else(|| Error::new(ErrorKind::Pending, message))?.ok();
                }
            }
        }
    }

    async fn device_at(&self, path: &Path) -> Result<Option<(u32, u32)>> {
        self.alive().await;
        self.look(|kernel| kernel.device_at(path))
    }
}

impl Host for FakeKernel {
    async fn join(&self, volume: Volume<'_>) -> Result<()> {
        self.alive().await;
        while let Some((name, outcome)) = self.look(|kernel| kernel.running(volume.slot)) {
            let message = format!("{name} of {} has not ended", volume.slot);
            let ended = self.wait(&outcome, volume.deadline).await;
            ended.ok_or_else(|| Error::new(ErrorKind::Abandoned, message))?.ok();
            self.look(|kernel| kernel.forget(volume.slot, &outcome));
        }
        Ok(())
    }

    fn take_untold(&self, slot: &Slot) -> Option<Error> {
        self.look(|kernel| kernel.node.untold.take(slot))
    }

    async fn complaints(&self) -> BTreeSet<String> {
        self.alive().await;
        self.look(|kernel| std::mem::take(&mut kernel.node.complaints))
    }
}
