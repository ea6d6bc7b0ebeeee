//! What can happen in a run, in words that say who does what to whom.

use std::fmt;

/// The nodes of a run.
pub(crate) const NODES: [&str; 3] = ["a", "b", "c"];
/// One of [`NODES`].
pub(crate) type NodeName = &'static str;

/// A volume, by the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VolumeNumber(pub(crate) u32);

impl fmt::Display for VolumeNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{}", self.0)
    }
}

/// What a volume is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Ext4,
    Xfs,
    Block,
}

impl Use {
    pub(crate) const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Block];
}

/// A guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    Device,
    Node(NodeName),
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device => formatter.write_str("the device"),
            Self::Node(name) => write!(formatter, "node {name}"),
        }
    }
}

/// What is wrong with a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Its data link drops every frame.
    Cut,
    /// Its processors stand still.
    Paused,
    /// It lost power.
    Off,
}

impl Trouble {
    pub(crate) const ALL: [Self; 3] = [Self::Cut, Self::Paused, Self::Off];
}

/// A process of the driver that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Controller,
    Driver(NodeName),
}

impl fmt::Display for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller => formatter.write_str("the controller"),
            Self::Driver(node) => write!(formatter, "the driver of {node}"),
        }
    }
}

/// A SIGKILL so many milliseconds after an action has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) process: Process,
    pub(crate) after_millis: u64,
}

/// What comes first when the device boots: its exports, or the port that knows none of them yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BootOrder {
    ExportsFirst,
    ListensFirst,
}

impl BootOrder {
    pub(crate) const ALL: [Self; 2] = [Self::ExportsFirst, Self::ListensFirst];
}

/// What the device's management does to the next requests of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// They take effect, and their replies are lost.
    DropReply,
    /// They are answered with status 503 and take no effect.
    Fail,
    /// They are answered late.
    Late { millis: u64 },
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// CreateVolume.
    Create {
        volume: VolumeNumber,
        usage: Use,
    },
    /// A pod of the volume starts on a node.
    Start {
        volume: VolumeNumber,
        node: NodeName,
    },
    /// It ends there.
    Stop {
        volume: VolumeNumber,
    },
    /// It ends there and starts on another node, and perhaps a process is killed meanwhile.
    Move {
        volume: VolumeNumber,
        to: NodeName,
        kill: Option<Kill>,
    },
    /// Its node is given up, whatever it is doing: the volume is forced off it and the pod starts on another.
    Take {
        volume: VolumeNumber,
        to: NodeName,
    },
    /// A second node asks for a volume that is attached, and is refused.
    Ask {
        volume: VolumeNumber,
        node: NodeName,
    },
    /// Its records are read on a node, and it is deleted.
    Delete {
        volume: VolumeNumber,
        node: NodeName,
    },
    Break {
        machine: Machine,
        trouble: Trouble,
    },
    /// Ends the machine's trouble; who was given up meanwhile cleans up.
    Heal {
        machine: Machine,
    },
    Kill {
        process: Process,
    },
    /// The device's system boots, its kernel does not.
    Reboot {
        order: BootOrder,
    },
    /// The next `times` requests of a method meet this.
    Refuse {
        refusal: Refusal,
        method: &'static str,
        times: u32,
    },
    /// From now on writes land so much later on the device's disk.
    Delay {
        millis: u64,
    },
    /// Time passes.
    Rest {
        seconds: u64,
    },
}

impl Action {
    /// Its kind's name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Move { kill: None, .. } => "move",
            Self::Move { .. } => "move, with a kill",
            Self::Take { .. } => "take",
            Self::Ask { .. } => "ask",
            Self::Delete { .. } => "delete",
            Self::Break { trouble: Trouble::Cut, .. } => "cut",
            Self::Break { trouble: Trouble::Paused, .. } => "pause",
            Self::Break { trouble: Trouble::Off, .. } => "power cut",
            Self::Heal { .. } => "heal",
            Self::Kill { .. } => "kill",
            Self::Reboot { .. } => "reboot",
            Self::Refuse { .. } => "refuse",
            Self::Delay { .. } => "delay",
            Self::Rest { .. } => "rest",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { volume, usage } => write!(formatter, "create {volume} as {usage:?}"),
            Self::Start { volume, node } => write!(formatter, "start a pod of {volume} on {node}"),
            Self::Stop { volume } => write!(formatter, "stop the pod of {volume}"),
            Self::Move { volume, to, kill: None } => write!(formatter, "move {volume} to {to}"),
            Self::Move { volume, to, kill: Some(Kill { process, after_millis }) } => {
                write!(formatter, "move {volume} to {to}, and kill {process} after {after_millis} ms")
            }
            Self::Take { volume, to } => write!(formatter, "force {volume} off its node and to {to}"),
            Self::Ask { volume, node } => write!(formatter, "{node} asks for {volume} and is refused"),
            Self::Delete { volume, node } => write!(formatter, "read {volume} on {node} and delete it"),
            Self::Break { machine, trouble } => {
                let what = match trouble {
                    Trouble::Cut => "cut the link of",
                    Trouble::Paused => "pause",
                    Trouble::Off => "cut the power of",
                };
                write!(formatter, "{what} {machine}")
            }
            Self::Heal { machine } => write!(formatter, "heal {machine}"),
            Self::Kill { process } => write!(formatter, "kill {process}"),
            Self::Reboot { order } => write!(formatter, "reboot the device, {order:?}"),
            Self::Refuse { refusal, method, times } => {
                write!(formatter, "{refusal:?} for {times} {method} of the device")
            }
            Self::Delay { millis } => write!(formatter, "writes land {millis} ms late"),
            Self::Rest { seconds } => write!(formatter, "rest {seconds} s"),
        }
    }
}
