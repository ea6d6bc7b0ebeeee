//! Reading facts: what is missing is asked for.

use volume::{NodeId, NodeRef};

use crate::halt::Halt;
use crate::{Attachments, KubernetesFacts, NodeFacts, Question, Want};

impl KubernetesFacts {
    /// The VolumeAttachments of this driver.
    pub(crate) fn attachments(&self) -> Result<&Attachments, Halt> {
        self.attachments.as_ref().ok_or(Halt::Ask(Question::Attachments))
    }

    /// Node objects, all that are missing asked for at once.
    pub(crate) fn nodes<'a>(
        &self,
        nodes: impl Iterator<Item = &'a NodeId>,
    ) -> Result<Vec<Option<&NodeFacts>>, Halt> {
        let nodes: Vec<&NodeId> = nodes.collect();
        let missing: Vec<NodeId> =
            nodes.iter().filter(|node| !self.nodes.contains_key(node)).map(|node| (*node).clone()).collect();
        if !missing.is_empty() {
            return Err(Halt::Ask(Question::Nodes(missing)));
        }
        Ok(nodes.into_iter().map(|node| self.nodes.get(node).and_then(Option::as_ref)).collect())
    }

    /// A Node object; `None`: there is none.
    pub(crate) fn node(&self, node: &NodeId) -> Result<Option<&NodeFacts>, Halt> {
        Ok(self.nodes(std::iter::once(node))?.into_iter().next().flatten())
    }

    /// How each member has let the volume go, as its Node tells. A member whose name is hashed is looked for among
    /// `hint` and the nodes of the VolumeAttachments, and called by its name from then on: once its VolumeAttachment is
    /// gone nothing else tells it. One that is not found there has let nothing go.
    pub(crate) fn partings(
        &self,
        members: &[NodeRef],
        hint: Option<&NodeId>,
    ) -> Result<Vec<(NodeRef, Parting)>, Halt> {
        let names: Vec<Option<NodeId>> = members.iter().map(|member| self.name_of(member, hint)).collect();
        let mut nodes = self.nodes(names.iter().flatten())?.into_iter();
        let parted = members.iter().zip(&names).map(|(member, name)| match name {
            Some(name) => (NodeRef::new(name, member.uid()), Parting::of(member, nodes.next().flatten())),
            None => (member.clone(), Parting::Unproven),
        });
        Ok(parted.collect())
    }

    fn name_of(&self, member: &NodeRef, hint: Option<&NodeId>) -> Option<NodeId> {
        let wants = self.attachments.iter().flat_map(|attachments| &attachments.wants);
        let known = hint.into_iter().chain(wants.map(|want| &want.node));
        member.node_id().or_else(|| known.into_iter().find(|node| member.is_named(node)).cloned())
    }
}

impl Attachments {
    /// The VolumeAttachments of the volume for a member's node.
    pub(crate) fn of<'a>(&'a self, member: &'a NodeRef) -> impl Iterator<Item = &'a Want> {
        self.wants.iter().filter(|want| member.is_named(&want.node))
    }

    /// Those by which a node has the volume: attached, and not being deleted.
    pub(crate) fn standing(&self) -> impl Iterator<Item = &Want> {
        self.wants.iter().filter(|want| want.attached && !want.deleting)
    }

    /// Whether the member's node has a VolumeAttachment that maps to no volume.
    pub(crate) fn is_unmapped(&self, member: &NodeRef) -> bool {
        self.unmapped.iter().any(|node| member.is_named(node))
    }

    /// Whether every VolumeAttachment is known, and none of them is for this volume to stay.
    pub(crate) fn nobody(&self) -> bool {
        self.unmapped.is_empty() && self.wants.iter().all(|want| want.deleting)
    }

    /// Whether every VolumeAttachment of the member's node is known, and none of them is for this volume to stay.
    pub(crate) fn let_go(&self, member: &NodeRef) -> bool {
        !self.is_unmapped(member) && self.of(member).all(|want| want.deleting)
    }
}

/// How a node has let a volume go, as its Node object tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Seen to have let go (attachments.md, "Proven unstage").
    Proven,
    /// Somebody said by the out-of-service taint that the machine is off.
    OutOfService,
    /// Not seen.
    Unproven,
}

impl Parting {
    pub(crate) fn of(member: &NodeRef, node: Option<&NodeFacts>) -> Self {
        // A Node of another or an unknown UID says nothing of this holder.
        let same = |node: &&NodeFacts| node.uid.is_some() && node.uid == member.uid();
        match node.filter(same) {
            Some(node) if node.out_of_service => Self::OutOfService,
            Some(node) if node.ready && !node.in_use => Self::Proven,
            _ => Self::Unproven,
        }
    }
}
