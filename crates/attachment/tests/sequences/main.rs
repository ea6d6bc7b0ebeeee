//! Whatever is asked in whatever order, while Nodes, VolumeAttachments, clocks, leaders, people and lost replies do
//! what they do: the promises of attachments.md hold at every write (`invariants.rs`).
#![allow(clippy::unwrap_used, reason = "tests")]

mod cluster;
mod controller;
mod invariants;
mod step;
mod truth;
mod world;

use std::collections::BTreeSet;

use attachment::State;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngSeed, TestRunner};
use step::{Fault, Hand, NodeStep, Step};
use volume::Fencing;
use world::{Kind, World};

/// Each test runs so many sequences: together more than the 10^5 that issue 4 asks for.
const CASES: u32 = 17_000;
/// Of the sequences that every run tries.
const SEED: u64 = 4;
/// The kinds of plan that `controller.rs` tells apart, but for the one of a list that cannot grow.
const PLANS: usize = 35;
/// The longest sequence.
const STEPS: usize = 20;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<u32>().prop_map(Step::of), 0..STEPS)
}

fn run(world: &mut World, steps: &[Step]) {
    steps.iter().for_each(|step| world.take(step));
}

/// How far things have come when a sequence begins: what takes many steps would else be tried too seldom.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// Nobody has the volume.
    Detached,
    /// Node 0 has it, and node 1 wants it too; where two may share it, that is a live migration under way.
    Wanted,
    /// Node 0 was said to be off, node 1 has taken over, node 0 is back, and its VolumeAttachment was never deleted.
    Overtaken,
}

fn starts() -> impl Strategy<Value = Start> {
    prop_oneof![Just(Start::Detached), Just(Start::Wanted), Just(Start::Overtaken)]
}

fn world(fencing: Fencing, kind: Kind, start: Start) -> World {
    let mut world = World::new(fencing, kind);
    let off = Step::Node(0, NodeStep::OutOfService);
    let settle = Step::Clock { milliseconds: world::SETTLE, step: 0 };
    let steps = match start {
        Start::Detached => vec![],
        Start::Wanted => {
            vec![Step::Want(0), publish(0), Step::Pod(0), Step::Want(1), publish(1), Step::Pod(1)]
        }
        Start::Overtaken => {
            vec![Step::Want(0), publish(0), off.clone(), Step::Want(1), publish(1), settle, publish(1), off]
        }
    };
    run(&mut world, &steps);
    world
}

fn publish(node: usize) -> Step {
    Step::Publish { node, odd: false, stale_uid: false, attacher_dies: false, fault: Fault::Nothing }
}

/// The same sequences at every run, so that a failure is one of what was changed; `PROPTEST_RNG_SEED` tries others.
fn config() -> ProptestConfig {
    let config = ProptestConfig::with_cases(CASES);
    let rng_seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(SEED),
        chosen => chosen,
    };
    ProptestConfig { rng_seed, ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_promise_holds_for_a_file_system(start in starts(), steps in steps()) {
        run(&mut world(Fencing::Generation, Kind::Filesystem, start), &steps);
    }

    #[test]
    fn every_promise_holds_for_a_block_device(start in starts(), steps in steps()) {
        run(&mut world(Fencing::HostNqn, Kind::Block, start), &steps);
    }

    #[test]
    fn every_promise_holds_for_a_block_device_that_two_may_share(start in starts(), steps in steps()) {
        run(&mut world(Fencing::Generation, Kind::SharedBlock, start), &steps);
    }

    #[test]
    fn every_promise_holds_without_generations(start in starts(), steps in steps(), shared: bool) {
        let kind = if shared { Kind::SharedBlock } else { Kind::Filesystem };
        run(&mut world(Fencing::Off, kind, start), &steps);
    }

    #[test]
    fn a_volume_can_always_be_detached_and_attached_again(start in starts(), steps in steps(), by_order: bool) {
        let mut world = world(Fencing::Generation, Kind::SharedBlock, start);
        run(&mut world, &steps);
        world.land();
        world.nobody_wants();
        if by_order {
            world.take(&Step::Unpublish { node: None, fault: Fault::Nothing });
        }
        world.take(&Step::Reconcile { old: true, fault: Fault::Nothing });
        prop_assert_eq!(world.state(), State::Detached, "{:?}", world.observed);
        prop_assert!(world.observed.record.holders.is_empty() && world.observed.record.generation.is_none());
        world.heal(0);
        world.take(&Step::Clock { milliseconds: world::SETTLE, step: 0 });
        world.take(&publish(0));
        prop_assert!(world.cluster.standing(0).is_some(), "{:?}", world.observed);
    }

    #[test]
    fn a_retry_gets_the_same_context_and_writes_nothing(start in starts(), steps in steps(), n in 0..3usize) {
        let mut world = world(Fencing::Generation, Kind::Filesystem, start);
        run(&mut world, &steps);
        let request = world.publishing(n, false, false);
        let first = world.call(&request, Fault::Nothing);
        if let controller::End::Attached(_) = first {
            let before = world.observed.clone();
            let request = world.publishing(n, false, false);
            prop_assert_eq!(world.call(&request, Fault::Nothing), first);
            prop_assert_eq!(&world.observed, &before);
        }
    }
}

/// Found by seeds 28, 36 and 37: the line that repairs a record erases which generation ended last.
#[test]
fn a_record_repaired_under_what_stands_and_a_taint_lifted_break_no_promise() {
    let off = |n| Step::Node(n, NodeStep::OutOfService);
    let publish_odd = |node| match publish(node) {
        Step::Publish { node, stale_uid, attacher_dies, fault, .. } => {
            Step::Publish { node, odd: true, stale_uid, attacher_dies, fault }
        }
        step => step,
    };
    let repair = || Step::Hand(Hand::Repair { closes: true, tells: false });
    let unpublish = |node, fault| Step::Unpublish { node: Some(node), fault };
    let found = [
        (Start::Overtaken, vec![repair(), off(1), Step::Unmapped(1), publish(0), off(1), publish(1)]),
        (Start::Overtaken, vec![off(1), Step::Pod(1), repair(), publish_odd(1), off(1), publish(0)]),
        (
            Start::Wanted,
            vec![
                off(0),
                unpublish(0, Fault::Late(1)),
                Step::Clock { milliseconds: 6_000, step: 0 },
                publish(0),
                repair(),
                Step::Node(0, NodeStep::Recreate),
                publish(0),
            ],
        ),
        (
            Start::Wanted,
            vec![repair(), off(0), publish(2), off(0), publish_odd(1), unpublish(1, Fault::Nothing)],
        ),
    ];
    for (start, steps) in found {
        for kind in [Kind::Filesystem, Kind::Block, Kind::SharedBlock] {
            run(&mut world(Fencing::Generation, kind, start), &steps);
        }
    }
}

/// Were the sequences to miss a kind of plan, the promises would hold of it by never being tried.
#[test]
fn the_sequences_come_to_every_kind_of_plan() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..CASES / 3 {
        for (kind, start) in [
            (Kind::Filesystem, Start::Detached),
            (Kind::SharedBlock, Start::Wanted),
            (Kind::SharedBlock, Start::Overtaken),
        ] {
            let mut world = world(Fencing::Generation, kind, start);
            run(&mut world, &steps().new_tree(&mut runner).unwrap().current());
            seen.append(&mut world.seen);
        }
        if seen.len() == PLANS {
            return;
        }
    }
    panic!("{} of {PLANS} kinds of plan: {seen:?}", seen.len());
}
