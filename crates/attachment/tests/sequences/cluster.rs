//! Kubernetes, as far as attachments go: Nodes, VolumeAttachments, and the pods that run whatever becomes of them.

use std::sync::LazyLock;

use attachment::{Attachments, KubernetesFacts, Machines, NodeFacts, Question, Want};
use volume::{Generation, NodeId, NodeRef, NodeUid};

/// How many nodes there are.
pub(crate) const NODES: usize = 3;

/// A Node object.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) uid: Option<NodeUid>,
    pub(crate) ready: bool,
    pub(crate) out_of_service: bool,
    pub(crate) in_use: bool,
}

/// A VolumeAttachment of the volume.
#[derive(Clone, Debug)]
pub(crate) struct Va {
    pub(crate) id: u32,
    pub(crate) deleting: bool,
    pub(crate) attached: bool,
    pub(crate) generation: Option<Generation>,
    /// By an order or by the out-of-service taint its node lost the volume, whatever it says.
    pub(crate) interrupted: bool,
}

/// A pod that runs: its kernel knows one name of the volume, and no other.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// The VolumeAttachment by which it has the volume.
    pub(crate) va: u32,
    pub(crate) generation: Option<Generation>,
}

/// What the API server would answer, and what runs.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: [Option<Node>; NODES],
    pub(crate) vas: [Option<Va>; NODES],
    /// Nodes with a VolumeAttachment that maps to no volume.
    pub(crate) unmapped: [bool; NODES],
    pub(crate) pods: [Option<Pod>; NODES],
    pub(crate) machines: Machines,
    next: u32,
}

/// The n-th node.
pub(crate) fn node(n: usize) -> NodeId {
    NodeId::of_node(["node-0", "node-1", "node-2"][n]).unwrap()
}

/// The UID of the n-th object that was made: digests, in a build for tests, cost more than the rules that are tried.
pub(crate) fn uid(n: u32) -> Option<NodeUid> {
    static UIDS: LazyLock<Vec<Option<NodeUid>>> =
        LazyLock::new(|| (0..128).map(|n| NodeUid::of(&n.to_string())).collect());
    UIDS[n as usize]
}

/// Which node a holder's is.
pub(crate) fn number(holder: &NodeRef) -> usize {
    (0..NODES).find(|n| holder.is_named(&node(*n))).unwrap()
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let mut cluster = Self {
            nodes: [None, None, None],
            vas: [None, None, None],
            unmapped: [false; NODES],
            pods: [None, None, None],
            machines: Machines::Same,
            next: 1,
        };
        (0..NODES).for_each(|n| cluster.make_node(n));
        cluster
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// A Node registers; one of that name that was there before had another UID.
    pub(crate) fn make_node(&mut self, n: usize) {
        let uid = uid(self.fresh());
        self.nodes[n] = Some(Node { uid, ready: true, out_of_service: false, in_use: false });
    }

    /// A pod is to run on the node.
    pub(crate) fn want(&mut self, n: usize) {
        let id = self.fresh();
        let va = Va { id, deleting: false, attached: false, generation: None, interrupted: false };
        self.vas[n].get_or_insert(va);
    }

    /// The VolumeAttachment by which the node has the volume: attached, and to stay.
    pub(crate) fn standing(&self, n: usize) -> Option<&Va> {
        self.vas[n].as_ref().filter(|va| va.attached && !va.deleting)
    }

    pub(crate) fn is_out_of_service(&self, n: usize) -> bool {
        self.nodes[n].as_ref().is_some_and(|node| node.out_of_service)
    }

    /// The node's attachment stands, was not interrupted, and nobody said that the machine is off.
    pub(crate) fn has_it(&self, n: usize) -> Option<&Va> {
        self.standing(n).filter(|va| !va.interrupted && !self.is_out_of_service(n))
    }

    /// A pod that runs by an attachment that stands uninterrupted. One that ran already when it was interrupted is of
    /// before, unless the attachment came back under the name that its kernel knows.
    pub(crate) fn running(&self, n: usize) -> Option<&Pod> {
        let va = self.has_it(n)?;
        self.pods[n].as_ref().filter(|pod| pod.va == va.id && pod.generation == va.generation)
    }

    fn node_of(&self, holder: &NodeRef) -> Option<&Node> {
        self.nodes[number(holder)].as_ref().filter(|node| node.uid == holder.uid())
    }

    /// Proven unstage, by the text of attachments.md.
    pub(crate) fn saw_let_go(&self, holder: &NodeRef) -> bool {
        self.node_of(holder).is_some_and(|node| node.ready && !node.out_of_service && !node.in_use)
    }

    /// Whether somebody said that this holder's machine is off.
    pub(crate) fn said_off(&self, holder: &NodeRef) -> bool {
        self.node_of(holder).is_some_and(|node| node.out_of_service)
    }

    pub(crate) fn answer(&self, question: &Question, known: &mut KubernetesFacts) {
        match question {
            Question::Nodes(nodes) => {
                known.nodes.extend(nodes.iter().map(|asked| (asked.clone(), self.facts(asked))))
            }
            Question::Attachments => known.attachments = Some(self.attachments()),
            Question::Machines => known.machines = Some(self.machines),
        }
    }

    fn facts(&self, asked: &NodeId) -> Option<NodeFacts> {
        let n = (0..NODES).find(|n| node(*n) == *asked)?;
        self.nodes[n].as_ref().map(|node| NodeFacts {
            uid: node.uid,
            ready: node.ready,
            out_of_service: node.out_of_service,
            in_use: node.in_use,
        })
    }

    pub(crate) fn attachments(&self) -> Attachments {
        let want = |n: usize| {
            self.vas[n].as_ref().map(|va| Want {
                name: format!("va-{}", va.id),
                node: node(n),
                deleting: va.deleting,
                attached: va.attached,
                generation: va.generation,
            })
        };
        Attachments {
            wants: (0..NODES).filter_map(want).collect(),
            unmapped: (0..NODES).filter(|n| self.unmapped[*n]).map(node).collect(),
        }
    }
}
