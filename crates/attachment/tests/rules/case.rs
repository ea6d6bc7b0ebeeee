//! One volume, what is known of Kubernetes, and what is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use attachment::{
    AllowList, Attachments, Change, Export, Facts, KubernetesFacts, Leaving, Machines, NodeFacts, Observed,
    Plan, PodsUnreadable, Publish, Question, Reconcile, Request, Terms, Unpublish, Want, decide,
};
use volume::{ClusterId, Fencing, Generation, NodeId, NodeRef, NodeUid, NqnPrefix, Record, Slot};

pub(crate) const SETTLE: Duration = Duration::from_secs(5);
pub(crate) const GRACE: Duration = Duration::from_secs(30);
pub(crate) const G1: u64 = 0x11;
pub(crate) const G2: u64 = 0x22;
/// The wall clock of every case.
pub(crate) const NOW: u64 = 1_000_000;

/// A volume, and under what terms something is decided of it.
pub(crate) struct Case {
    pub(crate) fencing: Fencing,
    pub(crate) allow_list: AllowList,
    pub(crate) settle_left: Duration,
    pub(crate) now: u64,
    pub(crate) term: u32,
    pub(crate) rwx_plain_pods: bool,
    pub(crate) pods_unreadable: PodsUnreadable,
    pub(crate) prefix: NqnPrefix,
    pub(crate) slot: Slot,
    pub(crate) observed: Observed,
    pub(crate) cluster: Cluster,
}

/// What Kubernetes would answer.
pub(crate) struct Cluster {
    /// There is one.
    pub(crate) is_there: bool,
    pub(crate) nodes: BTreeMap<NodeId, Option<NodeFacts>>,
    pub(crate) attachments: Attachments,
    pub(crate) machines: Machines,
}

/// A detached volume, without Kubernetes.
pub(crate) fn case() -> Case {
    let cluster = ClusterId::parse("c").unwrap();
    Case {
        fencing: Fencing::Generation,
        allow_list: AllowList::Unproven,
        settle_left: Duration::ZERO,
        now: NOW,
        term: 0,
        rwx_plain_pods: false,
        pods_unreadable: PodsUnreadable::Refuse,
        prefix: NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap(),
        slot: Slot::for_volume(&cluster, "v"),
        observed: Observed { record: Record::new(cluster.hash()), export: None },
        cluster: Cluster {
            is_there: false,
            nodes: BTreeMap::new(),
            attachments: Attachments::default(),
            machines: Machines::Same,
        },
    }
}

/// A detached volume in a cluster of the healthy nodes a, b and c.
pub(crate) fn in_cluster() -> Case {
    let mut case = case();
    case.cluster.is_there = true;
    for name in ["a", "b", "c"] {
        case.cluster.nodes.insert(node(name), Some(healthy(name)));
    }
    case
}

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::of_node(name).unwrap()
}

/// The holder on a healthy node of that name.
pub(crate) fn holder(name: &str) -> NodeRef {
    NodeRef::new(&node(name), NodeUid::of(name))
}

/// A Node that is Ready and does not have the volume in use; its UID is its name.
pub(crate) fn healthy(name: &str) -> NodeFacts {
    NodeFacts { uid: NodeUid::of(name), ready: true, out_of_service: false, in_use: false }
}

/// A VolumeAttachment that stands, under the first generation.
pub(crate) fn attached(name: &str) -> Want {
    Want {
        name: format!("va-{name}"),
        node: node(name),
        deleting: false,
        attached: true,
        generation: Some(Generation::from_bits(G1)),
    }
}

impl Case {
    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            fencing: self.fencing,
            allow_list: self.allow_list,
            prefix: &self.prefix,
            slot: &self.slot,
            settle_left: self.settle_left,
            grace: GRACE,
            now: self.now,
            term: self.term,
            rwx_plain_pods: self.rwx_plain_pods,
            pods_unreadable: self.pods_unreadable,
        }
    }

    pub(crate) fn nqn(&self, generation: Option<u64>) -> String {
        self.terms().nqn(generation.map(Generation::from_bits)).to_string()
    }

    /// Held under the first generation; without Kubernetes by nodes without UIDs.
    pub(crate) fn held_by(mut self, names: &[&str], block: bool) -> Self {
        let uid = |name: &str| if self.cluster.is_there { NodeUid::of(name) } else { None };
        let record = &mut self.observed.record;
        record.holders = names.iter().map(|name| NodeRef::new(&node(name), uid(name))).collect();
        record.generation = Some(Generation::from_bits(G1));
        (record.published.block, record.published.filesystem) = (block, !block);
        record.shared = block;
        self.exported(Some(G1))
    }

    pub(crate) fn exported(mut self, generation: Option<u64>) -> Self {
        self.observed.export = Some(Export { nqn: self.nqn(generation), allow: Vec::new() });
        self
    }

    /// Detached by this driver, after the first generation.
    pub(crate) fn ended(mut self) -> Self {
        self.observed.record.ended = Some(Generation::from_bits(G1));
        self
    }

    pub(crate) fn wanted_by(mut self, wants: impl IntoIterator<Item = Want>) -> Self {
        self.cluster.attachments.wants = wants.into_iter().collect();
        self
    }

    pub(crate) fn with_node(mut self, name: &str, facts: Option<NodeFacts>) -> Self {
        self.cluster.nodes.insert(node(name), facts);
        self
    }

    pub(crate) fn publish(&self, name: &str, block: bool, shared: bool) -> Plan {
        self.decide(&self.publishing(name, block, shared))
    }

    pub(crate) fn publishing(&self, name: &str, block: bool, shared: bool) -> Request {
        let facts = self.cluster.nodes.get(&node(name)).cloned().flatten();
        Request::Publish(Publish {
            node: node(name),
            uid: facts.and_then(|facts| facts.uid),
            host_nqn: format!("nqn.host:{name}"),
            block,
            shared,
            mint: Generation::from_bits(G2),
            migration_timeout: Duration::from_secs(300),
        })
    }

    pub(crate) fn unpublish(&self, leaving: Leaving) -> Plan {
        self.decide(&Request::Unpublish(Unpublish { leaving }))
    }

    pub(crate) fn leave(&self, name: &str) -> Change {
        match self.unpublish(Leaving::Node(node(name))) {
            Plan::Detach(change) => change,
            plan => panic!("{plan:?}"),
        }
    }

    /// The reconciler's turn, everything having been unwanted for `age`.
    pub(crate) fn reconcile(&self, age: Duration) -> Plan {
        let holders = self.observed.record.holders.iter();
        self.decide(&Request::Reconcile(Reconcile {
            holders_unwanted_for: holders.map(|holder| (holder.clone(), age)).collect(),
            export_unwanted_for: age,
        }))
    }

    pub(crate) fn decide(&self, request: &Request) -> Plan {
        self.decide_asking(request).0
    }

    /// Decides, answering what is asked; and what was asked.
    pub(crate) fn decide_asking(&self, request: &Request) -> (Plan, Vec<Question>) {
        if !self.cluster.is_there {
            return (decide(&self.observed, request, &Facts::Standalone, &self.terms()), Vec::new());
        }
        let (mut known, mut asked) = (KubernetesFacts::default(), Vec::new());
        loop {
            let facts = Facts::Kubernetes(known.clone());
            match decide(&self.observed, request, &facts, &self.terms()) {
                Plan::Ask(question) => {
                    assert!(!asked.contains(&question), "asked twice: {question:?}");
                    self.answer(&question, &mut known);
                    asked.push(question);
                }
                plan => return (plan, asked),
            }
        }
    }

    fn answer(&self, question: &Question, known: &mut KubernetesFacts) {
        match question {
            Question::Nodes(nodes) => {
                known.nodes.extend(
                    nodes.iter().map(|node| (node.clone(), self.cluster.nodes.get(node).cloned().flatten())),
                );
            }
            Question::Attachments => known.attachments = Some(self.cluster.attachments.clone()),
            Question::Machines => known.machines = Some(self.cluster.machines),
        }
    }

    /// What the device shows once a change is written.
    pub(crate) fn apply(&mut self, change: Change) {
        use attachment::ExportChange;
        self.observed.record = change.record;
        match change.export {
            ExportChange::Keep => {}
            ExportChange::Close => self.observed.export = None,
            ExportChange::Open { nqn, allow } => {
                self.observed.export = Some(Export { nqn: nqn.to_string(), allow });
            }
            ExportChange::Allow(allow) => self.observed.export.as_mut().unwrap().allow = allow,
        }
    }
}

pub(crate) fn attach(plan: Plan) -> Change {
    match plan {
        Plan::Attach(change, _) => change,
        plan => panic!("{plan:?}"),
    }
}
