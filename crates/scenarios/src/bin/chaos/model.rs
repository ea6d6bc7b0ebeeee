//! What a schedule knows: which volumes there are, where their pods run, and what is broken. How long anything takes
//! is not known here, so nothing depends on it.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::{Action, Kill, Machine, NODES, NodeName, Process, Trouble, VolumeNumber};

/// Volumes at once: enough for every use on every node, few enough for an emulated kernel.
const MOST_VOLUMES: usize = 5;
/// Machines in trouble at once: with more there is nothing left to do but wait.
const MOST_TROUBLES: usize = 2;

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Volume {
    /// Where its pod runs.
    pod: Option<NodeName>,
}

/// The system, as far as a schedule has to know it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    volumes: BTreeMap<VolumeNumber, Volume>,
    made: u32,
    troubles: BTreeMap<NodeName, Trouble>,
    device: Option<Trouble>,
    /// What was forced off nodes that do not know it yet.
    left: BTreeSet<(NodeName, VolumeNumber)>,
    /// Milliseconds by which writes land late.
    delay: u64,
}

impl Model {
    /// Carries an action out; it has to be legal.
    pub(crate) fn apply(&mut self, action: &Action) {
        match *action {
            Action::Create { volume, .. } => {
                self.made = volume.0;
                self.volumes.insert(volume, Volume { pod: None });
            }
            Action::Start { volume, node } | Action::Move { volume, to: node, .. } => {
                self.put(volume, Some(node));
            }
            Action::Stop { volume } => self.put(volume, None),
            Action::Take { volume, to } => self.take(volume, to),
            Action::Delete { volume, .. } => drop(self.volumes.remove(&volume)),
            Action::Break { machine: Machine::Device, trouble } => self.device = Some(trouble),
            Action::Break { machine: Machine::Node(node), trouble } => {
                self.troubles.insert(node, trouble);
            }
            Action::Heal { machine: Machine::Device } => {
                if self.device.take() == Some(Trouble::Off) {
                    self.delay = 0;
                }
            }
            Action::Heal { machine: Machine::Node(node) } => {
                self.troubles.remove(node);
                self.left.retain(|(on, _)| *on != node);
            }
            Action::Delay { millis } => self.delay = millis,
            Action::Ask { .. }
            | Action::Kill { .. }
            | Action::Reboot { .. }
            | Action::Refuse { .. }
            | Action::Rest { .. } => {}
        }
    }

    fn put(&mut self, volume: VolumeNumber, pod: Option<NodeName>) {
        self.volumes.insert(volume, Volume { pod });
    }

    /// A node that is well learns at once what it lost, one in trouble when that is over.
    fn take(&mut self, volume: VolumeNumber, to: NodeName) {
        if let Some(from) = self.pod(volume)
            && !self.is_well(from)
        {
            self.left.insert((from, volume));
        }
        self.put(volume, Some(to));
    }

    /// Whether the action may happen now.
    pub(crate) fn is_legal(&self, action: &Action) -> bool {
        match *action {
            Action::Create { volume, .. } => {
                volume.0 == self.made + 1 && self.volumes.len() < MOST_VOLUMES && self.is_managed()
            }
            Action::Start { volume, node } | Action::Delete { volume, node } => {
                self.is_idle(volume) && self.is_served(node)
            }
            Action::Stop { volume } => self.pod(volume).is_some_and(|on| self.is_served(on)),
            Action::Move { volume, to, kill } => {
                let from = self.pod(volume).filter(|from| *from != to && self.is_served(from));
                from.is_some_and(|from| self.is_served(to) && kill.is_none_or(|kill| is_of(kill, from, to)))
            }
            Action::Take { volume, to } => {
                self.pod(volume).is_some_and(|from| from != to) && self.is_served(to)
            }
            Action::Ask { volume, node } => {
                self.pod(volume).is_some_and(|on| on != node) && self.is_managed()
            }
            Action::Break { machine: Machine::Device, .. } => self.device.is_none() && self.bears_trouble(),
            Action::Break { machine: Machine::Node(node), .. } => self.is_well(node) && self.bears_trouble(),
            Action::Heal { machine: Machine::Device } => self.device.is_some(),
            Action::Heal { machine: Machine::Node(node) } => !self.is_well(node),
            Action::Kill { process: Process::Controller } => true,
            Action::Kill { process: Process::Driver(node) } => {
                self.trouble(node).is_none_or(|t| t == Trouble::Cut)
            }
            Action::Reboot { .. } => self.device.is_none(),
            Action::Refuse { .. } => self.is_managed(),
            Action::Delay { millis } => self.is_managed() && millis != self.delay,
            Action::Rest { .. } => true,
        }
    }

    /// Every action of the kinds that end something: first what is broken, then what runs, then what there is. Done one
    /// after the other, each followed by what it makes legal, they leave nothing.
    pub(crate) fn next_of_the_end(&self) -> Option<Action> {
        let machines = [Machine::Device].into_iter().chain(NODES.map(Machine::Node));
        let heals = machines.map(|machine| Action::Heal { machine });
        let on_time = [Action::Delay { millis: 0 }];
        let stops = self.volumes.keys().map(|volume| Action::Stop { volume: *volume });
        let deletes = self.volumes.keys().map(|volume| {
            // Not always on the same node: the last word on a volume is not one kernel's.
            Action::Delete { volume: *volume, node: NODES[volume.0 as usize % NODES.len()] }
        });
        heals.chain(on_time).chain(stops).chain(deletes).find(|action| self.is_legal(action))
    }

    /// The volumes there are.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = VolumeNumber> {
        self.volumes.keys().copied()
    }

    /// Where the volume's pod runs.
    pub(crate) fn pod(&self, volume: VolumeNumber) -> Option<NodeName> {
        self.volumes.get(&volume)?.pod
    }

    /// The volume that is made next.
    pub(crate) fn next_volume(&self) -> VolumeNumber {
        VolumeNumber(self.made + 1)
    }

    /// Whether the node may have the volume mounted or connected: its pod is there, or was when the node was given up.
    pub(crate) fn may_have(&self, node: NodeName, volume: VolumeNumber) -> bool {
        self.pod(volume) == Some(node) || self.left.contains(&(node, volume))
    }

    /// What is wrong with the node.
    pub(crate) fn trouble(&self, node: NodeName) -> Option<Trouble> {
        self.troubles.get(node).copied()
    }

    /// What is wrong with the device.
    pub(crate) fn device(&self) -> Option<Trouble> {
        self.device
    }

    /// Whether a pod on that node can write.
    pub(crate) fn is_served(&self, node: NodeName) -> bool {
        self.device.is_none() && self.is_well(node)
    }

    fn is_well(&self, node: NodeName) -> bool {
        self.trouble(node).is_none()
    }

    fn is_idle(&self, volume: VolumeNumber) -> bool {
        self.volumes.get(&volume).is_some_and(|volume| volume.pod.is_none())
    }

    /// The management's way is not the data link's.
    fn is_managed(&self) -> bool {
        self.device.is_none_or(|trouble| trouble == Trouble::Cut)
    }

    fn bears_trouble(&self) -> bool {
        self.troubles.len() + usize::from(self.device.is_some()) < MOST_TROUBLES
    }
}

/// Whether the process has a part in a move.
fn is_of(kill: Kill, from: NodeName, to: NodeName) -> bool {
    match kill.process {
        Process::Controller => true,
        Process::Driver(node) => node == from || node == to,
    }
}
