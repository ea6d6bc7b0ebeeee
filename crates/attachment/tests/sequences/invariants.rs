//! What must hold at every write and every grant, each with its own words (issue 4, item 2).

use attachment::{Change, ExportChange, Leaving, Machines, Request};
use volume::{Fencing, Generation, NodeRef, Record};

use crate::cluster::{NODES, node, number};
use crate::world::{SETTLE, World};

/// All that must hold of a write, the moment it is decided.
pub(crate) fn every_write(world: &World, change: &Change, request: &Request) {
    few_holders(&change.record);
    nothing_is_taken_from_a_live_holder(world, change, request);
    what_may_be_wanted_stays_open(world, change, request);
    an_export_in_use_is_not_touched(world, change, request);
    a_generation_is_used_once(world, change);
    nothing_is_minted_under_an_attachment_that_stands(world, change, request);
    an_unproven_end_settles(world, change);
    a_running_pod_keeps_its_generation(world, change, request);
    two_share_only_as_one_machine(world, change, request);
    a_late_migration_tears_nothing(world, change);
    the_unfenced_keep_others_off(world, change);
    the_record_is_whole(world, change);
}

/// Never two holders on a volume that is not ReadWriteMany block, never more than two on one that is.
fn few_holders(record: &Record) {
    assert!(record.holders.len() <= 2, "more than two holders: {record:?}");
    if record.holders.len() == 2 {
        let block = record.published.block && !record.published.filesystem;
        assert!(block, "two holders of what was a file system: {record:?}");
        assert!(record.shared, "two holders of what one has for itself: {record:?}");
    }
}

/// A holder goes by an order for it, or once its VolumeAttachment is gone, its machine is off by somebody's word, or
/// its Node was recreated; by the reconciler only once it was unwanted for the grace.
fn nothing_is_taken_from_a_live_holder(world: &World, change: &Change, request: &Request) {
    let cluster = &world.cluster;
    for holder in
        world.observed.record.holders.iter().filter(|holder| !change.record.holders.contains(holder))
    {
        let n = number(holder);
        let va = cluster.vas[n].as_ref();
        let is_known_gone = va.is_none() && !cluster.unmapped[n];
        let may_go = match request {
            Request::Unpublish(ask) => is_ordered(&ask.leaving, n),
            Request::Publish(ask) => {
                let recreated = holder.is_named(&ask.node)
                    && holder.uid() != ask.uid
                    && cluster.standing(n).is_none_or(|va| va.generation != world.observed.record.generation);
                is_known_gone || cluster.said_off(holder) || recreated
            }
            Request::Reconcile(ask) => {
                let unwanted = is_known_gone || va.is_some_and(|va| va.deleting) && !cluster.unmapped[n];
                let old = ask.holders_unwanted_for.get(holder).is_some_and(|age| *age >= crate::world::GRACE);
                unwanted && old
            }
        };
        assert!(may_go, "taken from live holder {holder} by {request:?}: {:?}", world.cluster);
    }
}

/// What nobody holds the reconciler closes only once all VolumeAttachments are known and none of them is to stay.
fn what_may_be_wanted_stays_open(world: &World, change: &Change, request: &Request) {
    let is_stray = world.observed.record.holders.is_empty() && change.export == ExportChange::Close;
    if let (Request::Reconcile(ask), true) = (request, is_stray) {
        let cluster = &world.cluster;
        let wanted = cluster.vas.iter().flatten().any(|va| !va.deleting) || cluster.unmapped.contains(&true);
        assert!(!wanted, "closed what may be wanted: {cluster:?}");
        assert!(ask.export_unwanted_for >= crate::world::GRACE, "closed within the grace");
    }
}

/// An export with a legitimate holder is never closed, bounced or renamed: one that stays in the record, or one whose
/// VolumeAttachment stands and names it.
fn an_export_in_use_is_not_touched(world: &World, change: &Change, request: &Request) {
    match &change.export {
        ExportChange::Keep => {}
        ExportChange::Allow(allow) => {
            let before = &world.observed.export.as_ref().unwrap().allow;
            assert!(before.iter().all(|host| allow.contains(host)), "an allow list lost a host");
        }
        ExportChange::Open { .. } => {
            assert!(world.observed.export.is_none(), "an open export was bounced or renamed: {change:?}");
        }
        ExportChange::Close => {
            assert!(change.record.holders.is_empty(), "closed under its holders: {change:?}");
            let Some(exported) = world.exported() else { return };
            for n in (0..NODES).filter(|n| !is_about(request, *n)) {
                let uses = world.cluster.has_it(n).is_some_and(|va| va.generation == exported);
                assert!(!uses, "closed under node {n} by {request:?}: {:?}", world.cluster);
            }
        }
    }
    let renamed = world.observed.export.is_some()
        && !change.record.holders.is_empty()
        && change.record.generation != world.observed.record.generation
        && world.exported() != Some(change.record.generation);
    assert!(!renamed, "the record names another generation than what is exported: {change:?}");
}

/// A generation is minted once, and comes back only where nothing came after it.
fn a_generation_is_used_once(world: &World, change: &Change) {
    let Some(generation) = change.record.generation else { return };
    let history = &world.truth.history;
    let is_back = world.observed.record.generation.is_none() && history.contains(&generation);
    let is_last = history.last() == Some(&generation);
    // Where somebody wrote the record anew, the device tells, or all that stands agrees.
    let agrees = |n| world.cluster.standing(n).is_none_or(|va| va.generation == Some(generation));
    let told = world.exported() == Some(Some(generation)) || (0..NODES).all(agrees);
    let may_be_last = is_last || world.truth.forgotten && told;
    assert!(!is_back || may_be_last, "{generation} came back after another: {change:?}");
}

/// No new generation while an attachment stands uninterrupted, whatever became of Nodes, caches, Leases or exports;
/// and so none under a running pod.
fn nothing_is_minted_under_an_attachment_that_stands(world: &World, change: &Change, request: &Request) {
    let Some(minted) = minted(world, change) else { return };
    for n in 0..NODES {
        let running = world.cluster.running(n);
        assert!(running.is_none(), "{minted} under a running pod on node {n}: {running:?} by {request:?}");
        let standing = world.cluster.has_it(n);
        assert!(standing.is_none(), "{minted} beside what stands on node {n}: {standing:?} by {request:?}");
    }
}

/// No new generation before the settle time after an unproven end.
fn an_unproven_end_settles(world: &World, change: &Change) {
    if let (Some(minted), Some(ended)) = (minted(world, change), world.truth.unproven_end) {
        let waited = world.time - ended;
        assert!(waited >= SETTLE, "{minted} came {waited} ms after an unproven end");
    }
}

/// The kernel under a running pod knows one generation: no other is recorded or exported.
fn a_running_pod_keeps_its_generation(world: &World, change: &Change, request: &Request) {
    if change.record.holders.is_empty() {
        return;
    }
    for n in (0..NODES).filter(|n| !is_about(request, *n)) {
        if let Some(pod) = world.cluster.running(n) {
            let kept = pod.generation == change.record.generation;
            assert!(kept, "a pod runs on node {n} by {:?}, and now there is {change:?}", pod.generation);
        }
    }
}

/// A second node comes for the migration of one virtual machine, or is put back as a VolumeAttachment says.
fn two_share_only_as_one_machine(world: &World, change: &Change, request: &Request) {
    let (old, new) = (&world.observed.record.holders, &change.record.holders);
    if old.is_empty() || new.len() < 2 {
        return;
    }
    for came in new.iter().filter(|holder| !old.contains(holder)) {
        let asked = matches!(request, Request::Publish(ask) if came.is_named(&ask.node));
        let one_machine = asked && world.cluster.machines == Machines::Same;
        let standing = world.cluster.standing(number(came));
        let is_put_back = standing.is_some_and(|va| va.generation == change.record.generation);
        assert!(one_machine || is_put_back, "{came} came beside {old:?} by {request:?}: {:?}", world.cluster);
    }
}

/// That a migration takes too long is said, and nothing else.
fn a_late_migration_tears_nothing(world: &World, change: &Change) {
    let old = &world.observed.record;
    let (Some(before), Some(after)) = (old.migration, change.record.migration) else { return };
    if before.deadline > 0 && after.deadline == 0 {
        assert!(world.wall >= before.deadline, "too early: {before:?} at {}", world.wall);
        let same = Record { migration: old.migration, term: old.term, ..change.record.clone() };
        assert_eq!(same, *old, "a late migration changed more than itself");
        assert_eq!(change.export, ExportChange::Keep, "a late migration changed the export");
    }
}

/// Who left unproven while another stays comes back itself, or keeps everybody else off until it is fenced.
fn the_unfenced_keep_others_off(world: &World, change: &Change) {
    let (old, new) = (&world.observed.record, &change.record);
    if new.holders.is_empty() {
        return;
    }
    for member in &old.left {
        let stays = new.left.contains(member) || new.holders.contains(member);
        let is_fenced = world.cluster.saw_let_go(member) || world.cluster.said_off(member);
        assert!(stays || is_fenced, "{member} was forgotten while its session may live: {new:?}");
    }
    let came = new.holders.iter().filter(|holder| !old.holders.contains(holder));
    let strangers = |came: &NodeRef| {
        world.truth.unfenced.iter().any(|member| member != came && old.left.contains(member))
    };
    for holder in came {
        assert!(
            !strangers(holder) || old.holders.is_empty(),
            "{holder} came beside an unfenced member: {new:?}"
        );
    }
}

/// What is written can be read again, by whoever leads then.
fn the_record_is_whole(world: &World, change: &Change) {
    let record = &change.record;
    let comment = record.to_comment().unwrap();
    assert_eq!(Record::parse(&comment).unwrap().unwrap(), *record, "{comment}");
    assert_eq!(record.term, world.term, "a record does not say who wrote it");
    assert!(world.observed.record.term <= world.term, "written over the record of a later leader");
    let alone = record.holders.len() < 2;
    assert!(!alone || record.migration.is_none(), "a migration of one: {record:?}");
    let is_free = record.holders.is_empty();
    assert!(!is_free || (record.generation.is_none() && record.left.is_empty()), "{record:?}");
}

/// A node whose VolumeAttachment says attached, uninterrupted, is never told of another generation; that its machine
/// is said to be off does not interrupt it yet.
pub(crate) fn one_generation_for_one_attachment(world: &World, n: usize, told: Option<Generation>) {
    if let Some(va) = world.cluster.standing(n).filter(|va| !va.interrupted) {
        assert_eq!(va.generation, told, "one attachment, two generations: {va:?}");
    }
}

/// The generation that a write makes, if it makes one.
fn minted(world: &World, change: &Change) -> Option<Generation> {
    let generation = change.record.generation.filter(|_| world.fencing != Fencing::Off)?;
    (!world.truth.history.contains(&generation)).then_some(generation)
}

fn is_ordered(leaving: &Leaving, n: usize) -> bool {
    match leaving {
        Leaving::Node(leaving) => *leaving == node(n),
        Leaving::Everybody => true,
    }
}

/// Whether the request is an order to take the volume from that node.
fn is_about(request: &Request, n: usize) -> bool {
    matches!(request, Request::Unpublish(ask) if is_ordered(&ask.leaving, n))
}
