//! The terms of a decision, and how an export is named and listed under them.

use std::time::Duration;

use volume::{Fencing, Generation, Nqn, NqnPrefix, Slot};

/// What is known of how the device treats `nvme-tcp-server-allow-host-name` (assumption `allow-list`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllowList {
    /// Nothing was shown: one name is written, as the official manual has it; several are not.
    #[default]
    Unproven,
    /// One name, no list.
    One,
    /// Names joined by commas, and a change leaves the sessions of those still listed alone.
    Comma,
}

/// What to do about a second node where pods may not be read (R18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodsUnreadable {
    /// It is refused.
    #[default]
    Refuse,
    /// It is allowed, as if it were the same virtual machine.
    Allow,
}

/// Under what terms a decision is made.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The fencing mode of the installation.
    pub fencing: Fencing,
    /// How the device treats allow lists.
    pub allow_list: AllowList,
    /// What NQNs begin with.
    pub prefix: &'a NqnPrefix,
    /// The volume.
    pub slot: &'a Slot,
    /// What is left to wait after an unproven generation; zero where the device drains at unexport.
    pub settle_left: Duration,
    /// How long nobody must have wanted what the reconciler closes.
    pub grace: Duration,
    /// The wall clock, in seconds since the Unix epoch: for migrations only, and nothing is torn by it.
    pub now: u64,
    /// The lease term of this controller, for records; 0 without Kubernetes.
    pub term: u32,
    /// Two nodes may share a block volume without a virtual machine (`--rwx-plain-pods`).
    pub rwx_plain_pods: bool,
    /// What to do where pods may not be read.
    pub pods_unreadable: PodsUnreadable,
}

impl Terms<'_> {
    /// The NQN of that generation; without one, the fixed NQN.
    #[must_use]
    pub fn nqn(&self, generation: Option<Generation>) -> Nqn {
        match generation {
            Some(generation) => self.prefix.generation(self.slot, generation),
            None => self.prefix.fixed(self.slot),
        }
    }

    /// The allow list of a new export for one host; empty is any. A volume that a second node may join gets
    /// a list only where a list is known to grow.
    pub(crate) fn list_for(&self, host_nqn: &str, shared: bool) -> Vec<String> {
        let listed = self.fencing == Fencing::HostNqn && (!shared || self.allow_list == AllowList::Comma);
        if listed { vec![host_nqn.to_owned()] } else { Vec::new() }
    }

    /// Whether a ReadWriteMany volume goes without the list that the mode asks for: to be said once.
    #[must_use]
    pub fn drops_list(&self, shared: bool) -> bool {
        self.fencing == Fencing::HostNqn && shared && self.allow_list != AllowList::Comma
    }
}
