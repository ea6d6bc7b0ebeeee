//! What happens in a run, and in which order: drawn from the seed and from what the model knows, so that a seed's
//! schedule is always the same. A run carries out as much of it as its time allows, and then what ends everything.

use crate::action::{
    Action, BootOrder, Kill, Machine, NODES, NodeName, Process, Refusal, Trouble, Use, VolumeNumber,
};
use crate::dice::Dice;
use crate::model::Model;

/// How often one kind of action is wished for, against the others. What is wished for but cannot be now is drawn anew.
const WEIGHTS: [(u64, Wish); 15] = [
    (10, Wish::Create),
    (10, Wish::Start),
    (4, Wish::Stop),
    (10, Wish::Move),
    (8, Wish::MoveWithKill),
    (8, Wish::Take),
    (4, Wish::Ask),
    (6, Wish::Delete),
    (8, Wish::BreakNode),
    (3, Wish::BreakDevice),
    // Outages end sooner than others begin, or nothing else could happen.
    (24, Wish::Heal),
    (6, Wish::Kill),
    (3, Wish::Reboot),
    (6, Wish::Refuse),
    (4, Wish::Delay),
];
/// Against the sum of those: mostly something happens.
const REST: u64 = 4;
/// What every schedule begins with: trouble needs somebody to meet.
const OPENING: [Action; 6] = [
    Action::Create { volume: VolumeNumber(1), usage: Use::Ext4 },
    Action::Create { volume: VolumeNumber(2), usage: Use::Xfs },
    Action::Create { volume: VolumeNumber(3), usage: Use::Block },
    Action::Start { volume: VolumeNumber(1), node: NODES[0] },
    Action::Start { volume: VolumeNumber(2), node: NODES[1] },
    Action::Start { volume: VolumeNumber(3), node: NODES[2] },
];

#[derive(Clone, Copy, Debug)]
enum Wish {
    Create,
    Start,
    Stop,
    Move,
    MoveWithKill,
    Take,
    Ask,
    Delete,
    BreakNode,
    BreakDevice,
    Heal,
    Kill,
    Reboot,
    Refuse,
    Delay,
}

/// Outages from one to twenty seconds, beside the time that other actions take: keep-alives are 5 s.
const MOST_REST: u64 = 20;
/// From a call's begin to after the end of the last: an attachment, a stage and a publish take seconds in a guest.
const KILL_WITHIN_MILLIS: u64 = 4000;
/// Late, but long before a driver gives up on the device (10 s a request), or later than that.
const REPLIES_LATE_MILLIS: [u64; 3] = [500, 3000, 15_000];
/// What a record's fsync waits for takes several writes, one after the other: seconds each time. A fence waits 5 s for
/// what is late (`--fence-settle`), and each of these is well below.
const WRITES_LATE_MILLIS: [u64; 4] = [0, 100, 300, 1000];
/// Methods of the device's management by which it is changed, and the one by which it is read.
const METHODS: [&str; 4] = ["GET", "PUT", "PATCH", "DELETE"];

/// A seed's actions.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    opening: std::array::IntoIter<Action, 6>,
    dice: Dice,
    model: Model,
}

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        Self { opening: OPENING.into_iter(), dice: Dice::new(seed), model: Model::default() }
    }

    /// What happens next.
    pub(crate) fn next(&mut self) -> Action {
        loop {
            let action = self.opening.next().or_else(|| self.draw());
            if action.is_some_and(|action| self.model.is_legal(&action)) {
                return self.applied(action).unwrap_or(Action::Rest { seconds: 1 });
            }
        }
    }

    /// What happens next once the time is over; `None` when nothing is left.
    pub(crate) fn next_of_the_end(&mut self) -> Option<Action> {
        let action = self.model.next_of_the_end();
        self.applied(action)
    }

    fn applied(&mut self, action: Option<Action>) -> Option<Action> {
        action.inspect(|action| self.model.apply(action))
    }

    /// Something that may be legal or not; `None` where there is no volume that it could be done to.
    fn draw(&mut self) -> Option<Action> {
        let Some(wish) = self.wish() else {
            return Some(Action::Rest { seconds: 1 + self.dice.below(MOST_REST) });
        };
        let (machine, node) = (self.machine(), self.dice.pick(&NODES));
        Some(match wish {
            Wish::Create => {
                Action::Create { volume: self.model.next_volume(), usage: self.dice.pick(&Use::ALL) }
            }
            Wish::Start => Action::Start { volume: self.volume()?, node },
            Wish::Stop => Action::Stop { volume: self.volume()? },
            Wish::Move => Action::Move { volume: self.volume()?, to: node, kill: None },
            Wish::MoveWithKill => {
                let (volume, kill) = (self.volume()?, self.kill(node));
                Action::Move { volume, to: node, kill: Some(kill) }
            }
            Wish::Take => Action::Take { volume: self.volume()?, to: node },
            Wish::Ask => Action::Ask { volume: self.volume()?, node },
            Wish::Delete => Action::Delete { volume: self.volume()?, node },
            Wish::BreakNode => {
                Action::Break { machine: Machine::Node(node), trouble: self.dice.pick(&Trouble::ALL) }
            }
            Wish::BreakDevice => {
                Action::Break { machine: Machine::Device, trouble: self.dice.pick(&Trouble::ALL) }
            }
            Wish::Heal => Action::Heal { machine },
            Wish::Kill => Action::Kill { process: self.process(node) },
            Wish::Reboot => Action::Reboot { order: self.dice.pick(&BootOrder::ALL) },
            Wish::Refuse => self.refuse(),
            Wish::Delay => Action::Delay { millis: self.dice.pick(&WRITES_LATE_MILLIS) },
        })
    }

    /// `None` for a rest.
    fn wish(&mut self) -> Option<Wish> {
        let sum: u64 = WEIGHTS.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.dice.below(sum + REST);
        for (weight, wish) in WEIGHTS {
            match drawn.checked_sub(weight) {
                None => return Some(wish),
                Some(rest) => drawn = rest,
            }
        }
        None
    }

    fn volume(&mut self) -> Option<VolumeNumber> {
        let volumes: Vec<_> = self.model.volumes().collect();
        (!volumes.is_empty()).then(|| self.dice.pick(&volumes))
    }

    fn machine(&mut self) -> Machine {
        let nodes = NODES.map(Machine::Node);
        let machines: Vec<_> = nodes.into_iter().chain([Machine::Device]).collect();
        self.dice.pick(&machines)
    }

    fn process(&mut self, node: NodeName) -> Process {
        self.dice.pick(&[Process::Controller, Process::Driver(node)])
    }

    /// Of the controller, or of any node's driver: only one that takes part in the move is legal.
    fn kill(&mut self, to: NodeName) -> Kill {
        let from = self.dice.pick(&NODES);
        let process = self.dice.pick(&[Process::Controller, Process::Driver(from), Process::Driver(to)]);
        Kill { process, after_millis: self.dice.below(KILL_WITHIN_MILLIS) }
    }

    fn refuse(&mut self) -> Action {
        let late = Refusal::Late { millis: self.dice.pick(&REPLIES_LATE_MILLIS) };
        let refusal = self.dice.pick(&[Refusal::DropReply, Refusal::Fail, late]);
        let times = u32::try_from(1 + self.dice.below(3)).unwrap_or(1);
        Action::Refuse { refusal, method: self.dice.pick(&METHODS), times }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use super::*;

    /// Hours of a run.
    const ACTIONS: usize = 2000;
    const SEEDS: u64 = 50;

    fn actions(seed: u64) -> Vec<Action> {
        let mut schedule = Schedule::new(seed);
        (0..ACTIONS).map(|_| schedule.next()).collect()
    }

    #[test]
    fn a_seed_has_one_schedule_and_another_seed_another() {
        for seed in 0..SEEDS {
            assert_eq!(actions(seed), actions(seed));
            assert_ne!(actions(seed), actions(seed + 1));
        }
    }

    #[test]
    fn every_action_is_legal_when_it_comes() {
        for seed in 0..SEEDS {
            let mut model = Model::default();
            for action in actions(seed) {
                assert!(model.is_legal(&action), "seed {seed}: {action} in {model:?}");
                model.apply(&action);
            }
        }
    }

    #[test]
    fn every_kind_of_action_comes_within_an_hour_of_every_seed() {
        let all: BTreeSet<_> = (0..SEEDS).flat_map(actions).map(|action| action.kind()).collect();
        assert_eq!(all.len(), 17, "{all:?}");
        for seed in 0..SEEDS {
            let kinds: BTreeSet<_> = actions(seed)[..400].iter().map(Action::kind).collect();
            assert_eq!(kinds, all, "seed {seed}");
        }
    }

    #[test]
    fn at_the_end_nothing_is_broken_and_nothing_is_left_whenever_it_comes() {
        for seed in 0..SEEDS {
            for actions in [0, 1, 10, 100, 333] {
                let mut schedule = Schedule::new(seed);
                for _ in 0..actions {
                    schedule.next();
                }
                let end: Vec<_> = std::iter::from_fn(|| schedule.next_of_the_end()).take(100).collect();
                assert!(end.len() < 100, "it has an end");
                let model = schedule.model;
                assert_eq!((model.device(), model.volumes().count()), (None, 0), "seed {seed}: {end:?}");
                assert!(NODES.iter().all(|node| model.is_served(node)), "seed {seed}: {end:?}");
            }
        }
    }

    #[test]
    fn no_schedule_begins_what_it_does_not_know() {
        let model = Model::default();
        let volume = VolumeNumber(1);
        for action in [
            Action::Start { volume, node: "a" },
            Action::Stop { volume },
            Action::Take { volume, to: "a" },
            Action::Delete { volume, node: "a" },
            Action::Heal { machine: Machine::Device },
        ] {
            assert!(!model.is_legal(&action), "{action}");
        }
    }
}
