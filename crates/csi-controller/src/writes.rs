//! Doubts about writes (attachments.md, "Writes").
//!
//! After an unknown outcome no other write goes to that row until the write was seen to have landed, a barrier (a
//! read of the same device user, where `order=fifo` was shown), or the device's own cap. At start every row is in
//! doubt: another process of this controller may have sent something just before it ended. Requests keep their order
//! per device user, so that a reading by another user is no barrier.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use routeros::{DiskChange, DiskRow, REQUEST_CAP};
use tokio::time::Instant;
use volume::{Generation, NodeId, Slot};

use crate::device_facts::Order;

/// What a write makes of a row, to be recognised in a reading.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    /// The row is there.
    Add,
    /// The row shows this.
    Set(DiskChange),
    /// The row is gone.
    Remove,
    /// The image is gone, which no row shows.
    RemoveImage,
}

/// The rows in doubt.
pub(crate) struct Writes {
    order: Order,
    user: User,
    /// When this process began to lead, or began where nobody else may.
    started: Mutex<Instant>,
    rows: Mutex<HashMap<Slot, Doubt>>,
    minted: Mutex<HashMap<Slot, (NodeId, Generation)>>,
}

/// The name of the device user as it is now.
pub(crate) type User = Box<dyn Fn() -> String + Send + Sync>;

/// When a request was sent, and as which device user.
pub(crate) struct Sending {
    at: Instant,
    user: String,
}

struct Doubt {
    since: Instant,
    /// `None` where the name changed while the request was under way.
    user: Option<String>,
    sent: Sent,
}

impl Writes {
    /// Nothing is known of what was sent before now.
    pub(crate) fn new(order: Order) -> Self {
        let user = Box::new(String::new);
        let started = Mutex::new(Instant::now());
        Self { order, user, started, rows: Mutex::default(), minted: Mutex::default() }
    }

    /// From now on the user's name is looked up so.
    pub(crate) fn set_user(&mut self, user: User) {
        self.user = user;
    }

    /// This process leads from now on: the last leader may have sent something just before.
    pub(crate) fn begin(&self) {
        *lock(&self.started) = Instant::now();
    }

    /// When nothing that the last leader sent can take effect any more, but for what a barrier shows to have ended.
    pub(crate) fn last_leader_done(&self) -> Instant {
        let cap = if self.order == Order::Unknown { REQUEST_CAP } else { Duration::ZERO };
        *lock(&self.started) + cap
    }

    /// A request is being sent.
    pub(crate) fn sending(&self) -> Sending {
        Sending { at: Instant::now(), user: (self.user)() }
    }

    /// A write has failed with an unknown outcome just now.
    pub(crate) fn doubt(&self, slot: &Slot, sending: Sending, sent: Sent) {
        let user = self.only_user(sending.user);
        lock(&self.rows).insert(slot.clone(), Doubt { since: Instant::now(), user, sent });
    }

    /// A row was read just now.
    pub(crate) fn was_read(&self, slot: &Slot, row: Option<&DiskRow>, sending: Sending) {
        let Sending { at: asked, user } = sending;
        let mut rows = lock(&self.rows);
        let Some(doubt) = rows.get(slot) else { return };
        let same_user = doubt.user.is_some() && self.only_user(user) == doubt.user;
        let is_barrier = self.order == Order::Fifo && asked >= doubt.since && same_user;
        if is_barrier || doubt.sent.is_seen_in(row) || doubt.since + REQUEST_CAP <= asked {
            rows.remove(slot);
        }
    }

    /// The user of a request that has ended; `None` if the name changed meanwhile, so that it may be either.
    fn only_user(&self, before: String) -> Option<String> {
        (before == (self.user)()).then_some(before)
    }

    /// Until when no write may go to the row; `None` if one may go now, provided that it was read just before.
    pub(crate) fn doubtful_until(&self, slot: &Slot) -> Option<Instant> {
        // Past the cap too: a row that was not read since then may have been read before the write landed.
        let own = lock(&self.rows).get(slot).map(|doubt| doubt.since + REQUEST_CAP);
        // With `order=fifo` the reading before each write is the barrier for what a predecessor sent.
        let at_start = (self.order == Order::Unknown).then(|| self.last_leader_done());
        own.max(at_start.filter(|until| *until > Instant::now()))
    }

    /// The generation that a publish to this node sends: that of a try whose outcome was not known, else a new one.
    pub(crate) fn generation_for(&self, slot: &Slot, node: &NodeId) -> Generation {
        match lock(&self.minted).get(slot) {
            Some((minted_for, generation)) if minted_for == node => *generation,
            _ => Generation::random(),
        }
    }

    /// A generation is being sent; it stays with that node until the outcome is known.
    pub(crate) fn minting(&self, slot: &Slot, node: &NodeId, generation: Generation) {
        lock(&self.minted).insert(slot.clone(), (node.clone(), generation));
    }

    /// The outcome is known: the next attachment gets a generation of its own.
    pub(crate) fn minted(&self, slot: &Slot) {
        lock(&self.minted).remove(slot);
    }
}

impl Sent {
    fn is_seen_in(&self, row: Option<&DiskRow>) -> bool {
        match (self, row) {
            (Self::Add, Some(_)) | (Self::Remove, None) => true,
            (Self::Set(change), Some(row)) => shows(row, change),
            _ => false,
        }
    }
}

fn shows(row: &DiskRow, change: &DiskChange) -> bool {
    let is = |sent: &Option<String>, shown: &Option<Box<str>>| {
        sent.as_deref().is_none_or(|sent| sent == shown.as_deref().unwrap_or_default())
    };
    let flag = |sent: Option<bool>, shown: bool| sent.is_none_or(|sent| sent == shown);
    // Every field is named: one that is added to a change is compared, or this does not build.
    let DiskChange {
        nvme_tcp_export,
        nvme_tcp_server_nqn,
        nvme_tcp_server_port,
        nvme_tcp_server_allow_host_name,
        comment,
        file_size,
        mount_filesystem,
        smb_sharing,
        nfs_sharing,
        media_sharing,
    } = change;
    flag(*nvme_tcp_export, row.nvme_tcp_export)
        && is(nvme_tcp_server_nqn, &row.nvme_tcp_server_nqn)
        && nvme_tcp_server_port.is_none_or(|port| row.nvme_tcp_server_port == Some(port))
        && is(nvme_tcp_server_allow_host_name, &row.nvme_tcp_server_allow_host_name)
        && is(comment, &row.comment)
        && file_size.is_none_or(|size| row.file_size.is_some_and(|shown| shown >= size))
        && mount_filesystem.is_none_or(|mounts| row.mount_filesystem == Some(mounts))
        && flag(*smb_sharing, row.smb_sharing)
        && flag(*nfs_sharing, row.nfs_sharing)
        && flag(*media_sharing, row.media_sharing)
}

fn lock<V>(value: &Mutex<V>) -> MutexGuard<'_, V> {
    // Each is whole after every statement.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn slot() -> Slot {
        Slot::parse("rds-a").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_known_order_only_the_cap_ends_a_doubt() {
        let writes = Writes::new(Order::Unknown);
        assert!(writes.doubtful_until(&slot()).is_some(), "a predecessor may have sent something");
        tokio::time::advance(REQUEST_CAP).await;
        assert_eq!(writes.doubtful_until(&slot()), None);
        writes.doubt(&slot(), writes.sending(), Sent::Add);
        tokio::time::advance(Duration::from_secs(59)).await;
        writes.was_read(&slot(), None, writes.sending());
        assert_eq!(writes.doubtful_until(&slot()), Some(Instant::now() + Duration::from_secs(1)));
        let asked_before = writes.sending();
        tokio::time::advance(Duration::from_secs(1)).await;
        writes.was_read(&slot(), None, asked_before);
        assert_eq!(writes.doubtful_until(&slot()), Some(Instant::now()), "it was read before the cap");
        writes.was_read(&slot(), None, writes.sending());
        assert_eq!(writes.doubtful_until(&slot()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn where_requests_keep_their_order_a_read_is_the_barrier() {
        let writes = Writes::new(Order::Fifo);
        let asked_before = writes.sending();
        tokio::time::advance(Duration::from_secs(1)).await;
        writes.doubt(&slot(), writes.sending(), Sent::Add);
        writes.was_read(&slot(), None, asked_before);
        assert!(writes.doubtful_until(&slot()).is_some(), "it was asked before the write ended");
        writes.was_read(&slot(), None, writes.sending());
        assert_eq!(writes.doubtful_until(&slot()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_name_that_changes_before_or_while_a_request_runs_makes_no_barrier() {
        let name = std::sync::Arc::new(Mutex::new("a"));
        let change = |new: &'static str| *name.lock().unwrap() = new;
        for (written, read) in [(["a", "a"], ["b", "b"]), (["a", "b"], ["b", "b"]), (["a", "a"], ["a", "b"])]
        {
            let mut writes = Writes::new(Order::Fifo);
            let shown = name.clone();
            writes.set_user(Box::new(move || shown.lock().unwrap().to_owned()));
            change(written[0]);
            let sending = writes.sending();
            change(written[1]);
            writes.doubt(&slot(), sending, Sent::Add);
            change(read[0]);
            let sending = writes.sending();
            change(read[1]);
            writes.was_read(&slot(), None, sending);
            assert!(writes.doubtful_until(&slot()).is_some(), "{written:?} {read:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_seen_to_have_landed_is_in_doubt_no_more() {
        let writes = Writes::new(Order::Unknown);
        tokio::time::advance(REQUEST_CAP).await;
        writes.doubt(&slot(), writes.sending(), Sent::Remove);
        writes.was_read(&slot(), None, writes.sending());
        assert_eq!(writes.doubtful_until(&slot()), None);
    }

    #[test]
    fn a_change_is_seen_only_in_a_row_that_shows_every_part_of_it() {
        let shown = [
            (".id", "*1"),
            ("slot", "rds-a"),
            ("type", "file"),
            ("comment", "c"),
            ("file-size", "1048576"),
            ("mount-filesystem", "false"),
            ("nvme-tcp-export", "true"),
            ("nvme-tcp-server-nqn", "n"),
            ("nvme-tcp-server-port", "4420"),
            ("nvme-tcp-server-allow-host-name", "h"),
        ];
        let row = DiskRow::try_from(&shown.into_iter().collect::<routeros::Row>()).unwrap();
        let is_seen = |change: DiskChange| Sent::Set(change).is_seen_in(Some(&row));
        let as_shown = DiskChange {
            nvme_tcp_export: Some(true),
            nvme_tcp_server_nqn: Some("n".into()),
            nvme_tcp_server_port: Some(4420),
            nvme_tcp_server_allow_host_name: Some("h".into()),
            comment: Some("c".into()),
            file_size: Some(1 << 20),
            mount_filesystem: Some(false),
            smb_sharing: Some(false),
            nfs_sharing: Some(false),
            media_sharing: Some(false),
        };
        assert!(is_seen(as_shown.clone()));
        for other in [
            DiskChange { nvme_tcp_export: Some(false), ..as_shown.clone() },
            DiskChange { nvme_tcp_server_nqn: Some("m".into()), ..as_shown.clone() },
            DiskChange { nvme_tcp_server_port: Some(4421), ..as_shown.clone() },
            DiskChange { nvme_tcp_server_allow_host_name: Some(String::new()), ..as_shown.clone() },
            DiskChange { comment: Some("d".into()), ..as_shown.clone() },
            DiskChange { file_size: Some(2 << 20), ..as_shown.clone() },
            DiskChange { mount_filesystem: Some(true), ..as_shown.clone() },
            DiskChange { smb_sharing: Some(true), ..as_shown.clone() },
            DiskChange { nfs_sharing: Some(true), ..as_shown.clone() },
            DiskChange { media_sharing: Some(true), ..as_shown },
        ] {
            assert!(!is_seen(other.clone()), "{other:?}");
        }
    }

    #[test]
    fn a_try_again_sends_the_same_generation_to_the_same_node_only() {
        let (writes, a, b) =
            (Writes::new(Order::Fifo), NodeId::of_node("a").unwrap(), NodeId::of_node("b").unwrap());
        let first = writes.generation_for(&slot(), &a);
        writes.minting(&slot(), &a, first);
        assert_eq!(writes.generation_for(&slot(), &a), first);
        assert_ne!(writes.generation_for(&slot(), &b), first);
        writes.minted(&slot());
        assert_ne!(writes.generation_for(&slot(), &a), first);
    }
}
