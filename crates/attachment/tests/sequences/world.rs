//! A device with one volume, and what may happen to it.

use std::collections::HashSet;
use std::time::Duration;

use attachment::{
    AllowList, Attached, Change, Export, ExportChange, Leaving, Observed, Plan, Publish, Request, State,
    Terms, Unpublish, decide,
};
use proptest::prelude::*;
use volume::{ClusterId, Fencing, Generation, NodeId, NqnPrefix, Record, Slot};

/// What may happen.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A node asks for the volume.
    Publish { node: usize, block: bool, shared: bool },
    /// Somebody lets it go.
    Unpublish { leaving: Leaving, proven: bool },
    /// The export is lost: by hand, or by a power cut.
    Lose,
    /// An export appears that nobody asked for.
    Appear,
    /// The settle is over.
    Settled,
}

/// The device, and what has happened so far.
pub(crate) struct World {
    pub(crate) observed: Observed,
    pub(crate) settle_left: Duration,
    fencing: Fencing,
    prefix: NqnPrefix,
    slot: Slot,
    minted: u64,
    used: HashSet<String>,
}

/// The n-th node.
pub(crate) fn node(n: usize) -> NodeId {
    NodeId::of_node(&format!("node-{n}")).unwrap()
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let leaving = prop_oneof![
        4 => (0..3usize).prop_map(|n| Leaving::Node(node(n))),
        1 => Just(Leaving::Everybody),
    ];
    let step = prop_oneof![
        6 => (0..3usize, any::<bool>(), any::<bool>())
            .prop_map(|(node, block, shared)| Step::Publish { node, block, shared: shared && block }),
        4 => (leaving, any::<bool>()).prop_map(|(leaving, proven)| Step::Unpublish { leaving, proven }),
        1 => Just(Step::Lose),
        1 => Just(Step::Appear),
        3 => Just(Step::Settled),
    ];
    prop::collection::vec(step, 0..24)
}

impl World {
    pub(crate) fn new(fencing: Fencing) -> Self {
        let cluster = ClusterId::parse("c").unwrap();
        Self {
            observed: Observed { record: Record::new(cluster.hash()), export: None },
            settle_left: Duration::ZERO,
            fencing,
            prefix: NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap(),
            slot: Slot::for_volume(&cluster, "v"),
            minted: 0,
            used: HashSet::new(),
        }
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            fencing: self.fencing,
            allow_list: AllowList::Comma,
            prefix: &self.prefix,
            slot: &self.slot,
            settle_left: self.settle_left,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.observed.state(&self.terms())
    }

    fn decide(&self, request: &Request) -> Plan {
        decide(&self.observed, request, &self.terms())
    }

    /// The plan for a node that asks.
    pub(crate) fn publish(&mut self, n: usize, block: bool, shared: bool) -> Plan {
        self.minted += 1;
        let host_nqn = format!("nqn.2014-08.org.nvmexpress:uuid:{n}");
        let mint = Generation::from_bits(self.minted);
        let ask = Publish { node: node(n), uid: None, host_nqn, block, shared, mint };
        self.decide(&Request::Publish(ask))
    }

    /// Goes on until the node has the volume, or cannot have it now.
    pub(crate) fn attach(&mut self, n: usize, block: bool, shared: bool) -> Option<Attached> {
        loop {
            match self.publish(n, block, shared) {
                Plan::Attached(told) => return Some(told),
                Plan::Attach(change, told) => {
                    let opened_anew = self.observed.record.generation != change.record.generation;
                    if opened_anew && change.record.generation.is_some() {
                        assert!(self.used.insert(told.nqn.to_string()), "{} was used before", told.nqn);
                    }
                    self.apply(change);
                    return Some(told);
                }
                Plan::Close(change) => {
                    self.settle_left = Duration::from_secs(5);
                    self.apply(change);
                }
                Plan::Settle(_) | Plan::Refuse(_) => return None,
                plan => panic!("a publish never leads to {plan:?}"),
            }
        }
    }

    pub(crate) fn take(&mut self, step: &Step) {
        match step {
            Step::Publish { node, block, shared } => drop(self.attach(*node, *block, *shared)),
            Step::Unpublish { leaving, proven } => {
                let ask = Unpublish { leaving: leaving.clone(), proven: *proven };
                if let Plan::Detach(change) = self.decide(&Request::Unpublish(ask)) {
                    self.settle_left = Duration::from_secs(5);
                    self.apply(change);
                }
            }
            Step::Lose => self.observed.export = None,
            Step::Appear if self.observed.export.is_none() => {
                let nqn = "nqn.2000-02.com.mikrotik:by-hand".to_owned();
                self.observed.export = Some(Export { nqn, allow: Vec::new() });
            }
            Step::Appear => {}
            Step::Settled => self.settle_left = Duration::ZERO,
        }
    }

    fn apply(&mut self, change: Change) {
        self.observed.record = change.record;
        match change.export {
            ExportChange::Keep => {}
            ExportChange::Close => self.observed.export = None,
            ExportChange::Open { nqn, allow } => {
                assert!(self.observed.export.is_none(), "an open export was opened again");
                self.observed.export = Some(Export { nqn: nqn.to_string(), allow });
            }
            ExportChange::Allow(allow) => self.observed.export.as_mut().unwrap().allow = allow,
        }
    }

    /// The promises, given what was before the step.
    pub(crate) fn check_promises(&self, before: &Observed, step: &Step) {
        let (old, new) = (&before.record, &self.observed.record);
        assert!(new.holders.len() <= 2, "{new:?}");
        if new.holders.len() == 2 {
            assert!(
                new.published.block && !new.published.filesystem,
                "two writers of a file system: {new:?}"
            );
            assert!(new.shared, "a second writer beside one that has it for itself: {new:?}");
        }
        assert!(new.to_comment().is_ok());
        let stays = old.holders.iter().any(|holder| new.holders.contains(holder));
        if stays && !matches!(step, Step::Lose | Step::Appear) && before.export.is_some() {
            let nqn = |observed: &Observed| observed.export.as_ref().map(|export| export.nqn.clone());
            assert_eq!(nqn(&self.observed), nqn(before), "an export with a holder was closed or renamed");
            assert_eq!(new.generation, old.generation, "one attachment got two generations");
        }
        let starts = old.holders.is_empty() && !new.holders.is_empty();
        if starts && self.fencing != Fencing::Off {
            assert!(!old.unproven || self.settle_left.is_zero(), "a settle was not respected");
            assert!(new.generation.is_some() && !new.unproven);
        }
        if new.holders.is_empty() {
            assert!(new.generation.is_none() && new.left.is_empty(), "{new:?}");
        }
        if let Step::Unpublish { proven: false, .. } = step
            && !old.holders.is_empty()
            && new.holders.is_empty()
        {
            assert!(new.unproven, "nobody saw the holder let go");
        }
        for member in &old.left {
            let forgotten = !new.left.contains(member) && !new.holders.contains(member);
            assert!(
                !forgotten || new.holders.is_empty(),
                "{member} was forgotten while its session may live"
            );
        }
    }
}
