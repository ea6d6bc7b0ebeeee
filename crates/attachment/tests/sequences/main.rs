//! Whatever is asked in whatever order, while Nodes, VolumeAttachments, clocks, leaders, people and lost replies do
//! what they do: the promises of attachments.md hold at every write (`invariants.rs`).
#![allow(clippy::unwrap_used, reason = "tests")]

mod cluster;
mod controller;
mod invariants;
mod step;
mod truth;
mod world;

use attachment::State;
use proptest::prelude::*;
use step::{Fault, Step};
use volume::Fencing;
use world::{Kind, World};

/// Each test runs so many sequences: together more than the 10^5 that issue 4 asks for.
const CASES: u32 = 17_000;
/// The longest sequence.
const STEPS: usize = 24;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<u32>().prop_map(Step::of), 0..STEPS)
}

fn run(world: &mut World, steps: &[Step]) {
    steps.iter().for_each(|step| world.take(step));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn every_promise_holds_for_a_file_system(steps in steps()) {
        run(&mut World::new(Fencing::Generation, Kind::Filesystem), &steps);
    }

    #[test]
    fn every_promise_holds_for_a_block_device(steps in steps()) {
        run(&mut World::new(Fencing::HostNqn, Kind::Block), &steps);
    }

    #[test]
    fn every_promise_holds_for_a_block_device_that_two_may_share(steps in steps()) {
        run(&mut World::new(Fencing::Generation, Kind::SharedBlock), &steps);
    }

    #[test]
    fn every_promise_holds_without_generations(steps in steps(), shared: bool) {
        let kind = if shared { Kind::SharedBlock } else { Kind::Filesystem };
        run(&mut World::new(Fencing::Off, kind), &steps);
    }

    #[test]
    fn a_volume_can_always_be_detached_and_attached_again(steps in steps(), by_order: bool) {
        let mut world = World::new(Fencing::Generation, Kind::SharedBlock);
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
        world.take(&Step::Publish {
            node: 0, odd: false, stale_uid: false, attacher_dies: false, fault: Fault::Nothing,
        });
        prop_assert!(world.cluster.standing(0).is_some(), "{:?}", world.observed);
    }

    #[test]
    fn a_retry_gets_the_same_context_and_writes_nothing(steps in steps(), n in 0..3usize) {
        let mut world = World::new(Fencing::Generation, Kind::Filesystem);
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
