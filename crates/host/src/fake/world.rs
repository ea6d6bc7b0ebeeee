//! The one lock: a target and its nodes, moved on after every change until nothing moves.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::fabric::Target;
use super::node::Node;

#[derive(Debug)]
pub(super) struct World {
    pub(super) target: Target,
    pub(super) nodes: Vec<Node>,
}

/// The world, and the word that something in it changed.
#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    pub(super) changed: watch::Sender<()>,
}

/// One node's kernel, with the target that it talks to.
pub(super) struct Kernel<'a> {
    pub(super) target: &'a mut Target,
    pub(super) node: &'a mut Node,
    pub(super) now: Instant,
}

impl Shared {
    pub(super) fn new(target: Target) -> Self {
        Self { world: Mutex::new(World { target, nodes: Vec::new() }), changed: watch::Sender::new(()) }
    }

    /// Changes the world and lets what follows happen.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&mut world);
        world.settle();
        drop(world);
        self.changed.send_replace(());
        answer
    }

    /// Looks at the world, after what time alone made happen.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = world.settle();
        let answer = look(&mut world);
        drop(world);
        if moved {
            self.changed.send_replace(());
        }
        answer
    }
}

impl World {
    pub(super) fn kernel(&mut self, node: usize) -> Kernel<'_> {
        Kernel { target: &mut self.target, node: &mut self.nodes[node], now: Instant::now() }
    }

    /// Lets every kernel and every helper go as far as it can; whether anything happened.
    fn settle(&mut self) -> bool {
        let mut moved = false;
        loop {
            let mut again = false;
            for node in 0..self.nodes.len() {
                let mut kernel = self.kernel(node);
                again |= kernel.tend();
                again |= kernel.step_helpers();
            }
            if !again {
                return moved;
            }
            moved = true;
        }
    }
}
