//! A crash after every side effect of every call, then the CO's retries.

use host::fake::KernelVersion;
use scenarios::Shape;

use crate::life::{Claim, Step};
use crate::world::World;

/// A whole life: made, used and grown on one node, moved to the other, deleted.
const LIFE: [Step; 17] = [
    Step::Create,
    Step::Attach(0),
    Step::Stage(0),
    Step::Publish(0),
    Step::Grow,
    Step::GrowOnNode(0),
    Step::Unpublish(0),
    Step::Unstage(0),
    Step::Detach(0),
    Step::Attach(1),
    Step::Stage(1),
    Step::Publish(1),
    Step::Unpublish(1),
    Step::Unstage(1),
    Step::Detach(1),
    Step::Delete,
    Step::Delete,
];
/// No call has more side effects than this; one that had would crash for ever and never be seen to end.
const MOST_EFFECTS: usize = 60;

#[tokio::test(start_paused = true)]
async fn an_ext4_volume_survives_a_crash_after_every_side_effect_of_every_call() {
    crash_everywhere(&Shape::filesystem("ext4")).await;
}

#[tokio::test(start_paused = true)]
async fn an_xfs_volume_survives_a_crash_after_every_side_effect_of_every_call() {
    crash_everywhere(&Shape::filesystem("xfs")).await;
}

#[tokio::test(start_paused = true)]
async fn a_block_volume_survives_a_crash_after_every_side_effect_of_every_call() {
    crash_everywhere(&Shape::block()).await;
}

async fn crash_everywhere(shape: &Shape) {
    let mut crashes = 0;
    for version in [KernelVersion::V6_1, KernelVersion::V6_12] {
        for (at, step) in LIFE.iter().enumerate() {
            let mut effects = 1;
            while live(shape, version, Some((at, effects))).await {
                effects += 1;
                crashes += 1;
                assert!(effects < MOST_EFFECTS, "{step:?} has side effects without end");
            }
        }
    }
    // Every call but the second delete changes something: a run without crashes would prove nothing.
    assert!(crashes >= 2 * (LIFE.len() - 2), "only {crashes} crashes");
}

/// Lives once, with a crash at the given step after so many of its side effects. Whether it crashed.
async fn live(shape: &Shape, version: KernelVersion, crash: Option<(usize, usize)>) -> bool {
    let mut world = World::new(version).await;
    let mut claim = Claim::new("claim", shape.clone());
    let mut crashed = false;
    for (at, step) in LIFE.into_iter().enumerate() {
        if let Some((_, effects)) = crash.filter(|(crash_at, _)| *crash_at == at) {
            crashed = run_into_crash(&mut world, &mut claim, step, effects).await;
        } else {
            claim.converge(&world, step).await;
        }
        world.check();
        match step {
            Step::Publish(0) => claim.write(&world, 0, b"what must survive"),
            Step::Publish(1) | Step::GrowOnNode(0) => {
                claim.assert_whole(&world, usize::from(step == Step::Publish(1)));
            }
            _ => {}
        }
    }
    assert_eq!(world.leftovers(), [""; 0], "after {crash:?}");
    crashed
}

/// Takes a step whose actor crashes on the way, starts the actor again, and takes the step until it succeeds.
/// False if the step ended before the crash could come.
async fn run_into_crash(world: &mut World, claim: &mut Claim, step: Step, effects: usize) -> bool {
    let actor = step.actor();
    world.arm(actor, effects);
    let crashed = tokio::select! {
        biased;
        () = world.crashed(actor) => true,
        result = claim.call(world, step) => {
            result.unwrap_or_else(|status| panic!("{step:?} without a crash: {status}"));
            false
        }
    };
    world.restart(actor);
    world.check();
    claim.converge(world, step).await;
    crashed
}
