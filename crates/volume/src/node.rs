//! Nodes: their CSI ids, their references in a record, and the NVMe host identity made for them.

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use crate::ClusterId;

/// What every CSI node id of this driver begins with.
const NODE_ID_PREFIX: &str = "rds:";
/// Kubernetes: a Node's name is a DNS subdomain of at most 253 characters.
const MAX_NODE_NAME: usize = 253;
/// The UUIDv5 namespace of host identities; any fixed value does, but it must never change.
const HOST_NAMESPACE: Uuid = Uuid::from_u128(0x7264_732e_6373_692e_7372_766c_6162_2e69);

/// A CSI node id, `rds:<Node name>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    name: String,
}

/// Not a node of this driver: NOT_FOUND.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no node id of this driver: expected {NODE_ID_PREFIX}<name of a Node>")]
pub struct NodeIdError(String);

/// The first 32 bits of a Node's UID (hashed), as a record keeps them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeUid([u8; 4]);

/// A holder as a record names it: the Node's name, or its hash where the name did not fit, and
/// the UID's hash where a UID was known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeRef {
    name: NodeName,
    uid: Option<NodeUid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum NodeName {
    Clear(String),
    /// The first 64 bits of the SHA-256 of the name.
    Hashed([u8; 8]),
}

/// The NVMe host NQN and host id of a node: one pair, since a kernel refuses the same host id
/// with another host NQN (node.md K12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostIdentity {
    /// `nqn.2014-08.org.nvmexpress:uuid:<id>`.
    pub nqn: String,
    /// The host id.
    pub id: Uuid,
}

fn is_node_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let edges = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= MAX_NODE_NAME
        && text.bytes().all(plain)
        && edges(text.bytes().next())
        && edges(text.bytes().next_back())
}

impl NodeId {
    /// Reads `rds:<Node name>`.
    ///
    /// # Errors
    /// Any other form.
    pub fn parse(text: &str) -> Result<Self, NodeIdError> {
        text.strip_prefix(NODE_ID_PREFIX)
            .and_then(Self::of_node)
            .ok_or_else(|| NodeIdError(text.chars().take(MAX_NODE_NAME + 8).collect()))
    }

    /// The id of the Node with this name; `None` where that is no Node's name.
    #[must_use]
    pub fn of_node(name: &str) -> Option<Self> {
        is_node_name(name).then(|| Self { name: name.to_owned() })
    }

    /// The Node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The NVMe host identity of this node in `cluster`; `uid` is the Node object's, empty where
    /// there is no Kubernetes.
    #[must_use]
    pub fn host_identity(&self, cluster: &ClusterId, uid: &str) -> HostIdentity {
        // None of the parts can hold a NUL, so no two triples join to the same bytes.
        let name = format!("{}\0{}\0{uid}", cluster.as_str(), self.name);
        HostIdentity::from_id(Uuid::new_v5(&HOST_NAMESPACE, name.as_bytes()))
    }
}

impl HostIdentity {
    /// The pair for a host id.
    #[must_use]
    pub fn from_id(id: Uuid) -> Self {
        Self { nqn: format!("nqn.2014-08.org.nvmexpress:uuid:{id}"), id }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{NODE_ID_PREFIX}{}", self.name)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl NodeUid {
    /// The short form of a Node object's UID; `None` for an empty one.
    #[must_use]
    pub fn of(uid: &str) -> Option<Self> {
        let digest = Sha256::digest(uid.as_bytes());
        (!uid.is_empty()).then(|| Self([digest[0], digest[1], digest[2], digest[3]]))
    }
}

impl fmt::Debug for NodeUid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl NodeRef {
    /// A reference to a node; `uid` is the Node object's, `None` where there is no Kubernetes.
    #[must_use]
    pub fn new(node: &NodeId, uid: Option<NodeUid>) -> Self {
        Self { name: NodeName::Clear(node.name.clone()), uid }
    }

    /// Whether this is the node of that name, whatever its UID.
    #[must_use]
    pub fn is_named(&self, node: &NodeId) -> bool {
        match &self.name {
            NodeName::Clear(name) => *name == node.name,
            NodeName::Hashed(hash) => *hash == name_hash(&node.name),
        }
    }

    /// The UID's short form, where one was known.
    #[must_use]
    pub fn uid(&self) -> Option<NodeUid> {
        self.uid
    }

    /// The node's id, where its name is kept in clear.
    #[must_use]
    pub fn node_id(&self) -> Option<NodeId> {
        match &self.name {
            NodeName::Clear(name) => NodeId::of_node(name),
            NodeName::Hashed(_) => None,
        }
    }

    /// The same reference with its name hashed: shorter, still comparable.
    #[must_use]
    pub(crate) fn hashed(&self) -> Self {
        let name = match &self.name {
            NodeName::Clear(name) => NodeName::Hashed(name_hash(name)),
            hashed @ NodeName::Hashed(_) => hashed.clone(),
        };
        Self { name, uid: self.uid }
    }

    /// Reads what `Display` writes.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, uid) = text.split_once('/')?;
        let name = match name.strip_prefix('~') {
            Some(hash) => NodeName::Hashed(from_hex(hash)?),
            None => NodeName::Clear(NodeId::of_node(name)?.name),
        };
        let uid = if uid == "-" { None } else { Some(NodeUid(from_hex(uid)?)) };
        Some(Self { name, uid })
    }
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn name_hash(name: &str) -> [u8; 8] {
    let mut hash = [0; 8];
    hash.copy_from_slice(&Sha256::digest(name.as_bytes())[..8]);
    hash
}

impl fmt::Display for NodeRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            NodeName::Clear(name) => formatter.write_str(name)?,
            NodeName::Hashed(hash) => write!(formatter, "~{}", data_encoding::HEXLOWER.encode(hash))?,
        }
        match self.uid {
            Some(uid) => write!(formatter, "/{uid:?}"),
            None => formatter.write_str("/-"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_the_drivers_own_form_is_a_node_id() {
        assert_eq!(NodeId::parse("rds:node-a.example").unwrap().name(), "node-a.example");
        for text in ["", "node-a", "rds:", "rds:-a", "rds:A", "rds:a/b", "rds:a b", "RDS:a"] {
            assert!(NodeId::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_recreated_node_of_the_same_name_is_another_host() {
        let (cluster, node) = (ClusterId::parse("c").unwrap(), NodeId::parse("rds:a").unwrap());
        let identity = node.host_identity(&cluster, "uid-1");
        assert_eq!(identity, node.host_identity(&cluster, "uid-1"));
        assert_ne!(identity, node.host_identity(&cluster, "uid-2"));
        assert!(identity.nqn.ends_with(&identity.id.to_string()));
    }

    #[test]
    fn a_hashed_reference_still_names_its_node() {
        let node = NodeId::parse("rds:a-long-name").unwrap();
        let hashed = NodeRef::new(&node, NodeUid::of("u")).hashed();
        assert!(hashed.is_named(&node) && hashed.node_id().is_none());
        assert_eq!(NodeRef::parse(&hashed.to_string()), Some(hashed));
    }
}
