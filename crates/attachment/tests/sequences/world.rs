//! A device with one volume, a cluster, a controller, and what really happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use attachment::{
    AllowList, Attached, Change, Export, ExportChange, Observed, PodsUnreadable, Reconcile, Request, State,
    Terms, unwanted,
};
use volume::{ClusterHash, ClusterId, Fencing, Generation, NqnPrefix, Published, Record, Slot};

use crate::cluster::Cluster;
use crate::step::{Hand, NodeStep, Step};
use crate::truth::Truth;

/// How long an unproven generation settles.
pub(crate) const SETTLE: u64 = 5_000;
/// How long something is unwanted before the reconciler closes it.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// How the volume's claim has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Filesystem,
    Block,
    SharedBlock,
}

/// Everything.
pub(crate) struct World {
    pub(crate) observed: Observed,
    /// A write whose outcome is not known, with the request that it is of and what Kubernetes said then.
    pub(crate) late: Option<(Change, Request, Cluster)>,
    pub(crate) cluster: Cluster,
    pub(crate) truth: Truth,
    /// Milliseconds of the monotonic clock.
    pub(crate) time: u64,
    /// Seconds of the wall clock.
    pub(crate) wall: u64,
    pub(crate) term: u32,
    /// Since when this controller process knows the volume to be closed and free.
    pub(crate) closed_at: Option<u64>,
    pub(crate) fencing: Fencing,
    pub(crate) kind: Kind,
    pub(crate) minted: u64,
    /// Which plans there were.
    pub(crate) seen: BTreeSet<&'static str>,
    prefix: NqnPrefix,
    slot: Slot,
}

impl World {
    pub(crate) fn new(fencing: Fencing, kind: Kind) -> Self {
        // Digests, again: once for all worlds.
        static NAMES: LazyLock<(ClusterHash, Slot)> = LazyLock::new(|| {
            let cluster = ClusterId::parse("c").unwrap();
            (cluster.hash(), Slot::for_volume(&cluster, "v"))
        });
        Self {
            observed: Observed { record: Record::new(NAMES.0), export: None },
            late: None,
            cluster: Cluster::new(),
            truth: Truth::default(),
            time: 0,
            wall: 1_000_000,
            term: 1,
            closed_at: None,
            fencing,
            kind,
            minted: 0,
            seen: BTreeSet::new(),
            prefix: NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap(),
            slot: NAMES.1.clone(),
        }
    }

    pub(crate) fn terms(&self) -> Terms<'_> {
        let left = match self.closed_at {
            Some(closed) => SETTLE.saturating_sub(self.time - closed),
            None => SETTLE,
        };
        Terms {
            fencing: self.fencing,
            allow_list: AllowList::Comma,
            prefix: &self.prefix,
            slot: &self.slot,
            settle_left: Duration::from_millis(left),
            grace: GRACE,
            now: self.wall,
            term: self.term,
            rwx_plain_pods: false,
            pods_unreadable: PodsUnreadable::Refuse,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.observed.state(&self.terms())
    }

    /// The generation of what is exported; `None`: nothing is, or under a name that nobody of this driver knows.
    pub(crate) fn exported(&self) -> Option<Option<Generation>> {
        let (slot, generation) = self.prefix.slot_of(&self.observed.export.as_ref()?.nqn)?;
        (slot == self.slot).then_some(generation)
    }

    pub(crate) fn generation_of(&self, told: &Attached) -> Option<Generation> {
        self.prefix.slot_of(told.nqn.as_str()).unwrap().1
    }

    pub(crate) fn take(&mut self, step: &Step) {
        match step {
            Step::Publish { node, odd, stale_uid, attacher_dies, fault } => {
                self.publish(*node, *odd, *stale_uid, *attacher_dies, *fault);
            }
            Step::Unpublish { node, fault } => self.unpublish(*node, *fault),
            Step::Reconcile { old, fault } => self.reconcile(*old, *fault),
            Step::Want(n) => self.cluster.want(*n),
            Step::Delete(n) => self.cluster.vas[*n].iter_mut().for_each(|va| va.deleting = true),
            Step::Strip(n) => self.cluster.vas[*n] = None,
            Step::Unmapped(n) => self.cluster.unmapped[*n] ^= true,
            Step::Pod(n) => self.toggle_pod(*n),
            Step::Node(n, step) => self.change_node(*n, *step),
            Step::Hand(hand) => self.hand(*hand),
            Step::Machines(machines) => self.cluster.machines = *machines,
            Step::Clock { milliseconds, step } => {
                self.time += milliseconds;
                self.wall = self.wall.saturating_add_signed(*step) + milliseconds / 1_000;
            }
            Step::Land => self.land(),
            Step::Restart { old_lease } => self.restart(*old_lease),
        }
    }

    /// A kernel connects to what its VolumeAttachment names, where it finds that.
    fn toggle_pod(&mut self, n: usize) {
        let exported = self.exported();
        let standing = self.cluster.standing(n).filter(|va| exported == Some(va.generation));
        let pod = standing.map(|va| crate::cluster::Pod { va: va.id, generation: va.generation });
        self.cluster.pods[n] = if self.cluster.pods[n].is_some() { None } else { pod };
        let runs = self.cluster.pods[n].is_some();
        self.cluster.nodes[n].iter_mut().for_each(|node| node.in_use = runs);
    }

    fn change_node(&mut self, n: usize, step: NodeStep) {
        match (step, &mut self.cluster.nodes[n]) {
            (NodeStep::Ready, Some(node)) => node.ready ^= true,
            (NodeStep::InUse, Some(node)) => node.in_use ^= true,
            (NodeStep::OutOfService, Some(node)) => node.out_of_service ^= true,
            (NodeStep::Delete, node) => *node = None,
            (_, None) | (NodeStep::Recreate, _) => self.cluster.make_node(n),
        }
    }

    fn hand(&mut self, hand: Hand) {
        let export = |nqn: String| Some(Export { nqn, allow: Vec::new() });
        match hand {
            Hand::Close => self.observed.export = None,
            Hand::OpenForeign if self.observed.export.is_none() => {
                self.observed.export = export("nqn.2000-02.com.mikrotik:by-hand".to_owned());
            }
            Hand::OpenAgain if self.observed.export.is_none() => {
                let generation = self.truth.history.last().copied();
                self.observed.export = export(self.terms().nqn(generation).to_string());
            }
            Hand::OpenForeign | Hand::OpenAgain => {}
            Hand::Repair { closes, tells } => {
                // Who reads a record to repair it does so in more than the seconds that a write may still be under way.
                self.land();
                let published = Published { filesystem: false, block: true };
                let ended = self.exported().flatten().filter(|_| tells);
                let record =
                    Record { unproven: true, published, ended, ..Record::new(self.observed.record.cluster) };
                let was_free = self.observed.record.holders.is_empty();
                self.observed.record = record;
                self.truth.repaired(self.time, was_free, ended.is_some());
                if closes {
                    self.observed.export = None;
                }
            }
        }
    }

    /// A new process waits for what the last one may have sent, and knows nothing of when anything was closed.
    fn restart(&mut self, old_lease: bool) {
        self.land();
        self.closed_at = None;
        self.term = if old_lease { 1 } else { self.term + 1 };
    }

    /// What is asked of the reconciler: how long everything that nobody wants has been so.
    pub(crate) fn reconciling(&self, old: bool) -> Request {
        let age = if old { GRACE } else { GRACE - Duration::from_millis(1) };
        let unwanted = unwanted(&self.observed, &self.cluster.attachments(), &self.terms());
        let holders: BTreeMap<_, _> = unwanted.holders.into_iter().map(|holder| (holder, age)).collect();
        Request::Reconcile(Reconcile {
            holders_unwanted_for: holders,
            export_unwanted_for: if unwanted.export { age } else { Duration::ZERO },
        })
    }

    /// The device takes a write.
    pub(crate) fn apply(&mut self, change: Change) {
        self.observed.record = change.record;
        match change.export {
            ExportChange::Keep => {}
            ExportChange::Close => self.observed.export = None,
            ExportChange::Open { nqn, allow } => {
                self.observed.export = Some(Export { nqn: nqn.to_string(), allow });
            }
            ExportChange::Allow(allow) => {
                self.observed.export.iter_mut().for_each(|export| export.allow.clone_from(&allow));
            }
        }
    }

    /// As what the volume is asked for.
    pub(crate) fn mode(&self, odd: bool) -> (bool, bool) {
        match (self.kind, odd) {
            (Kind::Filesystem, false) | (Kind::SharedBlock, true) => (false, false),
            (Kind::Block, false) => (true, false),
            (Kind::SharedBlock, false) | (Kind::Filesystem | Kind::Block, true) => (true, true),
        }
    }

    pub(crate) fn uid_of(&self, n: usize) -> Option<volume::NodeUid> {
        self.cluster.nodes[n].as_ref().and_then(|node| node.uid)
    }

    /// Nobody wants the volume, and everything that is there maps to a volume.
    pub(crate) fn nobody_wants(&mut self) {
        self.cluster.vas = [None, None, None];
        self.cluster.unmapped = [false; crate::cluster::NODES];
    }

    /// The node is there, healthy, and wants the volume.
    pub(crate) fn heal(&mut self, n: usize) {
        self.cluster.make_node(n);
        self.cluster.want(n);
    }
}
