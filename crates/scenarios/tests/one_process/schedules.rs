//! Seeded schedules of calls, crashes and faults: whatever their order, nothing is lost, shared or left.

use std::time::Duration;

use host::fake::KernelVersion;
use routeros_sim::Reboot;
use routeros_sim::fault::{Action, Fault};
use scenarios::Shape;

use crate::life::{Claim, Step};
use crate::world::{Actor, World};

/// Schedules in a run, and steps in a schedule: seconds of a test, hours of a cluster.
const SEEDS: u64 = 60;
const STEPS: usize = 60;

/// A small generator, so that a schedule is its seed (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// How far the CO has brought a volume, and on which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Detached,
    Attached(usize),
    Staged(usize),
    Published(usize),
}

struct Run {
    world: World,
    claims: Vec<(Claim, Stage)>,
    dice: Dice,
}

#[tokio::test(start_paused = true)]
async fn no_schedule_of_calls_crashes_and_faults_loses_shares_or_leaves_anything() {
    for seed in 1..=SEEDS {
        let version = if seed % 2 == 0 { KernelVersion::V6_1 } else { KernelVersion::V6_12 };
        let mut run = Run::new(seed, version).await;
        for _ in 0..STEPS {
            run.step().await;
            run.check(seed);
        }
        run.end(seed).await;
    }
}

impl Run {
    async fn new(seed: u64, version: KernelVersion) -> Self {
        let world = World::new(version).await;
        let shapes = [Shape::filesystem("ext4"), Shape::filesystem("xfs"), Shape::block()];
        let mut claims = Vec::new();
        for (number, shape) in shapes.into_iter().enumerate() {
            let mut claim = Claim::new(&format!("claim-{number}"), shape);
            claim.converge(&world, Step::Create).await;
            claims.push((claim, Stage::Detached));
        }
        // A multiplicative spread keeps small seeds from walking alike at first.
        Self { world, claims, dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) }
    }

    async fn step(&mut self) {
        match self.dice.below(10) {
            0 => self.fault().await,
            1 => self.second_node().await,
            _ => self.advance().await,
        }
    }

    /// Something breaks, and is whole again before the step ends or with the next request.
    async fn fault(&mut self) {
        let faults = self.world.handle.faults();
        let node = self.dice.below(2) as usize;
        match self.dice.below(6) {
            0 => drop(faults.inject(Fault::once(Action::DropReply).on("PATCH", ""))),
            1 => drop(faults.inject(Fault::once(Action::DropReply).on("PUT", ""))),
            2 => self.world.restart(Actor::Controller),
            3 => self.world.restart(Actor::Node(node)),
            4 => {
                self.world.nodes[node].kernel.cut_link();
                tokio::time::sleep(Duration::from_secs(self.dice.below(40))).await;
                self.world.nodes[node].kernel.mend_link();
            }
            _ => {
                let reboot = Reboot { down_millis: self.dice.below(30_000), ..Reboot::default() };
                self.world.handle.reboot(reboot).await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_secs(self.dice.below(20))).await;
    }

    /// A second node asks for what another has, and must not get it.
    async fn second_node(&mut self) {
        let which = self.dice.below(self.claims.len() as u64) as usize;
        let (claim, stage) = &self.claims[which];
        let (Stage::Attached(node) | Stage::Staged(node) | Stage::Published(node)) = *stage else { return };
        let mut other = claim.clone();
        let refused = other.call(&self.world, Step::Attach(1 - node)).await;
        assert!(refused.is_err(), "{} is attached to node {node} and was given to the other", claim.name);
    }

    /// The CO's next call for one volume, perhaps into a crash; it goes on only after a success.
    async fn advance(&mut self) {
        let which = self.dice.below(self.claims.len() as u64) as usize;
        let (forward, node) = (self.dice.below(5) < 3, self.dice.below(2) as usize);
        let (step, next) = match (self.claims[which].1, forward) {
            (Stage::Detached, _) => (Step::Attach(node), Stage::Attached(node)),
            (Stage::Attached(node), true) => (Step::Stage(node), Stage::Staged(node)),
            (Stage::Attached(node), false) => (Step::Detach(node), Stage::Detached),
            (Stage::Staged(node), true) => (Step::Publish(node), Stage::Published(node)),
            (Stage::Staged(node), false) => (Step::Unstage(node), Stage::Attached(node)),
            (Stage::Published(node), _) => (Step::Unpublish(node), Stage::Staged(node)),
        };
        let crash = (self.dice.below(4) == 0).then(|| 1 + self.dice.below(4) as usize);
        if self.call(which, step, crash).await {
            self.claims[which].1 = next;
            self.use_it(which);
        }
    }

    async fn call(&mut self, which: usize, step: Step, crash: Option<usize>) -> bool {
        let actor = step.actor();
        if let Some(effects) = crash {
            self.world.arm(actor, effects);
        }
        let claim = &mut self.claims[which].0;
        let succeeded = tokio::select! {
            biased;
            () = self.world.crashed(actor) => false,
            result = claim.call(&self.world, step) => result.is_ok(),
        };
        if crash.is_some() {
            self.world.restart(actor);
        }
        // A CO never gives up an attach or a stage that may have happened: it tries again until it knows.
        if !succeeded {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let again = claim.call(&self.world, step).await;
            return again.is_ok();
        }
        succeeded
    }

    /// A pod that has just started reads what the last one wrote, and writes.
    fn use_it(&mut self, which: usize) {
        let (claim, Stage::Published(node)) = &mut self.claims[which] else { return };
        claim.assert_whole(&self.world, *node);
        let text = format!("{} {}", claim.name, self.dice.below(u64::MAX));
        claim.write(&self.world, *node, text.as_bytes());
    }

    fn check(&self, seed: u64) {
        self.world.check();
        let exports = self.world.fabric.exports();
        for export in &exports {
            let mut hosts = self.world.fabric.sessions(&export.nqn);
            hosts.dedup();
            assert!(hosts.len() <= 1, "seed {seed}: {} has two hosts: {hosts:?}", export.nqn);
        }
        for (claim, _) in &self.claims {
            let of_claim = exports.iter().filter(|export| export.volume.contains(&claim.slot())).count();
            assert!(of_claim <= 1, "seed {seed}: {} is exported twice", claim.name);
            assert!(self.world.handle.disk(&claim.slot()).is_some(), "seed {seed}: {} is lost", claim.name);
        }
    }

    /// Everything ends: no call may be stuck for ever, and nothing may be left.
    async fn end(mut self, seed: u64) {
        for (claim, stage) in &mut self.claims {
            if let Stage::Attached(node) | Stage::Staged(node) | Stage::Published(node) = *stage {
                for step in [Step::Unpublish(node), Step::Unstage(node), Step::Detach(node)] {
                    claim.converge(&self.world, step).await;
                }
            }
            claim.converge(&self.world, Step::Attach(1)).await;
            claim.converge(&self.world, Step::Stage(1)).await;
            claim.converge(&self.world, Step::Publish(1)).await;
            claim.assert_whole(&self.world, 1);
            for step in [Step::Unpublish(1), Step::Unstage(1), Step::Detach(1), Step::Delete] {
                claim.converge(&self.world, step).await;
            }
        }
        assert_eq!(self.world.leftovers(), [""; 0], "seed {seed}");
    }
}
