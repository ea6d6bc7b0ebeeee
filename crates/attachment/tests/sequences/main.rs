//! Whatever is asked in whatever order, with the device losing exports in between: the promises of
//! attachments.md hold after every step.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use attachment::{Leaving, Plan, State};
use proptest::prelude::*;
use volume::Fencing;
use world::{Step, World, steps};

fn modes() -> impl Strategy<Value = Fencing> {
    prop_oneof![Just(Fencing::Generation), Just(Fencing::HostNqn), Just(Fencing::Off)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_promise_holds_after_every_step(fencing in modes(), steps in steps()) {
        let mut world = World::new(fencing);
        for step in steps {
            let before = world.observed.clone();
            world.take(&step);
            world.check_promises(&before, &step);
        }
    }

    #[test]
    fn a_volume_can_always_be_detached_again(fencing in modes(), steps in steps()) {
        let mut world = World::new(fencing);
        steps.iter().for_each(|step| world.take(step));
        world.take(&Step::Unpublish { leaving: Leaving::Everybody, proven: false });
        prop_assert_eq!(world.state(), State::Detached);
        prop_assert!(world.observed.record.holders.is_empty() && world.observed.record.generation.is_none());
        world.settle_left = std::time::Duration::ZERO;
        let plan = world.publish(0, false, false);
        prop_assert!(matches!(plan, Plan::Attach(..)), "{:?}", plan);
    }

    #[test]
    fn a_retry_gets_the_same_context_and_writes_nothing(
        fencing in modes(), steps in steps(), node in 0..3usize, block: bool,
    ) {
        let mut world = World::new(fencing);
        steps.iter().for_each(|step| world.take(step));
        world.settle_left = std::time::Duration::ZERO;
        if let Some(first) = world.attach(node, block, false) {
            prop_assert_eq!(world.publish(node, block, false), Plan::Attached(first));
        }
    }
}
