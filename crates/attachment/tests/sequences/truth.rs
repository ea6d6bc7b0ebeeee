//! What really happened, kept apart from what records say of it.

use attachment::{Leaving, Observed, Request};
use volume::{Generation, NodeRef};

use crate::cluster::{Cluster, NODES, number};

/// What an onlooker knows who saw every write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    /// Every generation that was ever given, in order.
    pub(crate) history: Vec<Generation>,
    /// Somebody wrote the record anew since the last of them, and it does not tell that one.
    pub(crate) forgotten: bool,
    /// What ended last, ended with somebody not seen to let go; when.
    pub(crate) unproven_end: Option<u64>,
    /// Somebody left the present generation without being seen to let go.
    doubted: bool,
    /// Who left so, and is not fenced.
    pub(crate) unfenced: Vec<NodeRef>,
}

impl Truth {
    /// Somebody wrote the line that repairs a record.
    pub(crate) fn repaired(&mut self, time: u64, was_free: bool, tells: bool) {
        self.forgotten |= !tells;
        if !was_free {
            self.unproven_end = Some(time);
        }
        self.unfenced.clear();
    }

    /// The device took a write that was decided when Kubernetes was as `seen`.
    pub(crate) fn wrote(&mut self, before: &Observed, after: &Observed, seen: &Cluster, time: u64) {
        let (old, new) = (&before.record, &after.record);
        let ends = new.holders.is_empty();
        for holder in old.holders.iter().filter(|holder| !new.holders.contains(holder)) {
            let parted = seen.saw_let_go(holder);
            self.doubted |= !parted;
            if !ends && !parted && !seen.said_off(holder) {
                self.unfenced.push(holder.clone());
            }
        }
        let was_open = before.export.is_some() || !old.holders.is_empty();
        let unseen = old.holders.is_empty() && before.export.is_some();
        if ends && was_open && (self.doubted || unseen || self.unproven_end.is_some()) {
            self.unproven_end = Some(time);
        }
        self.unfenced.retain(|member| !ends && !new.holders.contains(member));
        if let Some(generation) = new.generation.filter(|it| !self.history.contains(it)) {
            self.history.push(generation);
            (self.forgotten, self.unproven_end, self.doubted) = (false, None, false);
        }
    }
}

/// By an order, or by somebody's word that the machine is off, an attachment ended that may still say to stand.
pub(crate) fn interrupt(before: &Observed, after: &Observed, request: &Request, cluster: &mut Cluster) {
    let is_off = |n: usize| {
        let mut off = before.record.holders.iter().filter(|holder| !after.record.holders.contains(holder));
        off.any(|holder| number(holder) == n)
    };
    let is_ordered = |n: usize| match request {
        Request::Unpublish(ask) => match &ask.leaving {
            Leaving::Node(node) => crate::cluster::node(n) == *node,
            Leaving::Everybody => true,
        },
        Request::Publish(_) | Request::Reconcile(_) => false,
    };
    let (was_free, ends) = (before.record.holders.is_empty(), after.record.holders.is_empty());
    for n in 0..NODES {
        let is_said_off = cluster.is_out_of_service(n);
        let is_left_out = was_free && !after.record.holders.iter().any(|holder| number(holder) == n);
        if let Some(va) = &mut cluster.vas[n] {
            // Somebody who wrote the record anew took holders off that no write took off.
            let goes_on_without = is_left_out || after.record.generation != va.generation;
            va.interrupted |= is_ordered(n) || is_off(n) || is_said_off && (ends || goes_on_without);
        }
    }
}
