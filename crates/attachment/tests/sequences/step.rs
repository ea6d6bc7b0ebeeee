//! What may happen, drawn from one number each: strategies of enums cost more than the rules that they try.

use attachment::Machines;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// ControllerPublish for a node. `odd`: not as the volume's kind has it.
    Publish { node: usize, odd: bool, stale_uid: bool, attacher_dies: bool, fault: Fault },
    /// ControllerUnpublish for a node, or for everybody.
    Unpublish { node: Option<usize>, fault: Fault },
    /// The reconciler's turn; everything has been unwanted for long, or has not.
    Reconcile { old: bool, fault: Fault },
    /// Kubernetes wants the volume on a node.
    Want(usize),
    /// Kubernetes wants it there no more.
    Delete(usize),
    /// A VolumeAttachment goes without a detach: its finalizer was stripped.
    Strip(usize),
    /// A VolumeAttachment that maps to no volume comes or goes.
    Unmapped(usize),
    /// A pod starts or ends on a node.
    Pod(usize),
    /// A Node object changes.
    Node(usize, NodeStep),
    /// Somebody changes the device.
    Hand(Hand),
    /// What the pods say of a second node.
    Machines(Machines),
    /// Milliseconds go by, and the wall clock steps by so many seconds more.
    Clock { milliseconds: u64, step: i64 },
    /// A write whose outcome was not known lands.
    Land,
    /// Another controller process leads, under the next term or, its Lease restored from a backup, under an old one.
    Restart { old_lease: bool },
}

/// What happens to a Node object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeStep {
    Ready,
    InUse,
    OutOfService,
    Delete,
    Recreate,
}

/// What somebody does on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hand {
    /// Closes the export; a power cut may do the same.
    Close,
    /// Opens one under a name of their own.
    OpenForeign,
    /// Opens it as it was last.
    OpenAgain,
    /// Writes the line that repairs a damaged record, its export closed or not. It tells which generation ended last,
    /// if it was printed while the volume was exported.
    Repair { closes: bool, tells: bool },
}

/// What goes wrong in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// The API server does not answer this question of the call, counted from 0.
    Api(u32),
    /// The controller dies before its n-th write.
    Crash(u32),
    /// The n-th write is done, its reply lost.
    ReplyLost(u32),
    /// The n-th write is on its way when the call ends; it lands before anything else is written, or never.
    Late(u32),
}

impl Step {
    pub(crate) fn of(word: u32) -> Self {
        let bits = |from: u32, many: u32| (word >> from) % many;
        let node = [0, 1, 2][bits(8, 3) as usize];
        let (odd, flag, other) = (bits(12, 8) == 0, bits(15, 8) == 0, bits(18, 2) == 0);
        let fault = Fault::of(bits(20, 16), bits(24, 3));
        match word % 64 {
            0..16 => Self::Publish { node, odd, stale_uid: flag, attacher_dies: bits(18, 4) == 0, fault },
            16..22 => Self::Unpublish { node: (!odd).then_some(node), fault },
            22..30 => Self::Reconcile { old: bits(12, 4) != 0, fault },
            30..37 => Self::Want(node),
            37..40 => Self::Delete(node),
            40 => Self::Strip(node),
            41 => Self::Unmapped(node),
            42..45 => Self::Pod(node),
            45..52 => Self::Node(node, NodeStep::of(bits(12, 8))),
            52..56 => Self::Hand(Hand::of(bits(12, 8))),
            56 => Self::Machines(
                [Machines::Same, Machines::Different, Machines::NoMachine, Machines::Forbidden]
                    [bits(12, 4) as usize],
            ),
            57..61 => {
                Self::Clock { milliseconds: if other { 6_000 } else { 1_000 }, step: steps(bits(12, 8)) }
            }
            61 => Self::Land,
            _ => Self::Restart { old_lease: flag },
        }
    }
}

fn steps(bits: u32) -> i64 {
    match bits {
        0 => -3_600,
        1 => 3_600,
        _ => 0,
    }
}

impl NodeStep {
    fn of(bits: u32) -> Self {
        match bits {
            0 => Self::Ready,
            1..4 => Self::InUse,
            4..6 => Self::OutOfService,
            6 => Self::Delete,
            _ => Self::Recreate,
        }
    }
}

impl Hand {
    fn of(bits: u32) -> Self {
        match bits {
            0..2 => Self::Close,
            2 => Self::OpenForeign,
            3 => Self::OpenAgain,
            _ => Self::Repair { closes: bits < 6, tells: bits.is_multiple_of(2) },
        }
    }
}

impl Fault {
    fn of(bits: u32, n: u32) -> Self {
        match bits {
            0 => Self::Api(n),
            1 => Self::Crash(n),
            2 => Self::ReplyLost(n),
            3 => Self::Late(n),
            _ => Self::Nothing,
        }
    }
}
