//! What is said of a write.

use attachment::{Happening, Plan, happened};
use volume::{Migration, Record};

use crate::case::{Case, GRACE, NOW, attach, attached, healthy, holder, in_cluster, node};

fn migrating() -> Case {
    let mut case = in_cluster().held_by(&["a", "b"], true).wanted_by([attached("a"), attached("b")]);
    case.observed.record.migration = Some(Migration { started: NOW, deadline: NOW + 300 });
    case
}

fn leaving(name: &str) -> attachment::Request {
    let leaving = attachment::Leaving::Node(node(name));
    attachment::Request::Unpublish(attachment::Unpublish { leaving })
}

fn said_of_leaving(case: &Case, name: &str) -> Vec<Happening> {
    happened(&case.observed.record, &case.leave(name).record, &leaving(name), NOW + 60)
}

#[test]
fn an_attach_is_said_once_and_a_retry_says_nothing() {
    let mut case = in_cluster();
    let request = case.publishing("a", false, false);
    let change = attach(case.decide(&request));
    let attached = [Happening::Attached { node: holder("a") }];
    assert_eq!(happened(&case.observed.record, &change.record, &request, NOW), attached);
    case.apply(change);
    assert!(matches!(case.decide(&request), Plan::Attached(_)));
    case.observed.export = None;
    let reopened = attach(case.decide(&request));
    assert_eq!(happened(&case.observed.record, &reopened.record, &request, NOW), []);
}

#[test]
fn a_detach_a_take_over_and_a_restoration_are_told_apart() {
    let case = in_cluster().held_by(&["a"], false);
    assert_eq!(said_of_leaving(&case, "a"), [Happening::Detached { node: holder("a") }]);
    let request = case.publishing("b", false, false);
    let Plan::Close(change) = case.decide(&request) else { panic!() };
    let cleared = [Happening::StaleCleared { node: holder("a") }];
    assert_eq!(happened(&case.observed.record, &change.record, &request, NOW), cleared);
    let lost = in_cluster().wanted_by([attached("a")]);
    let Plan::Restore(change) = lost.decide(&request) else { panic!() };
    let restored = [Happening::Restored { node: holder("a") }];
    assert_eq!(happened(&lost.observed.record, &change.record, &request, NOW), restored);
}

#[test]
fn a_migration_begins_and_ends_in_one_of_three_ways() {
    let (source, target) = (holder("a"), holder("b"));
    let case = in_cluster().held_by(&["a"], true).wanted_by([attached("a")]);
    let request = case.publishing("b", true, true);
    let joined = attach(case.decide(&request)).record;
    let started =
        Happening::MigrationStarted { source: source.clone(), target: target.clone(), timeout_seconds: 300 };
    let attached = Happening::Attached { node: target.clone() };
    assert_eq!(happened(&case.observed.record, &joined, &request, NOW), [attached, started]);

    let (from, to) = (source.clone(), target.clone());
    let completed = Happening::MigrationCompleted { source: from, target: to, seconds: 60 };
    assert_eq!(said_of_leaving(&migrating(), "a"), [Happening::Detached { node: source.clone() }, completed]);
    let (from, to) = (source.clone(), target.clone());
    let aborted = Happening::MigrationAborted { source: from, target: to, seconds: 60 };
    assert_eq!(said_of_leaving(&migrating(), "b"), [Happening::Detached { node: target.clone() }, aborted]);

    let mut late = migrating();
    late.now = NOW + 301;
    let Plan::Note(change) = late.reconcile(GRACE) else { panic!() };
    let reconcile = attachment::Request::Reconcile(attachment::Reconcile::default());
    let said = happened(&late.observed.record, &change.record, &reconcile, late.now);
    assert_eq!(said, [Happening::MigrationTimedOut { source: source.clone(), target, seconds: 301 }]);
    late.apply(change);
    assert_eq!(said_of_leaving(&late, "a"), [Happening::Detached { node: source }], "its end was said");
}

#[test]
fn who_leaves_unproven_and_who_is_fenced_is_said() {
    let busy = attachment::NodeFacts { in_use: true, ..healthy("b") };
    let mut case = migrating().with_node("b", Some(busy));
    let said = said_of_leaving(&case, "b");
    assert!(said.contains(&Happening::LeftUnproven { node: holder("b") }), "{said:?}");
    let left = case.leave("b");
    case.apply(left);
    let case = case.with_node("b", Some(healthy("b"))).wanted_by([attached("a")]);
    let Plan::Note(change) = case.reconcile(GRACE) else { panic!() };
    let request = attachment::Request::Reconcile(attachment::Reconcile::default());
    let fenced = [Happening::Fenced { node: holder("b") }];
    assert_eq!(happened(&case.observed.record, &change.record, &request, NOW), fenced);
}

#[test]
fn a_name_that_was_hashed_meanwhile_is_still_the_same_node() {
    let mut before = migrating().observed.record;
    let long = |letter: &str| volume::NodeRef::new(&node(&letter.repeat(100)), None);
    before.holders = vec![long("a")];
    let mut after = before.clone();
    after.holders.push(long("b"));
    let reread = Record::parse(&after.to_comment().unwrap()).unwrap().unwrap();
    assert_ne!(reread.holders, after.holders, "nothing was hashed");
    let request = in_cluster().publishing("c", true, true);
    let said = happened(&before, &reread, &request, NOW);
    assert_eq!(said.iter().filter(|one| matches!(one, Happening::Restored { .. })).count(), 1, "{said:?}");
    assert!(!said.iter().any(|one| matches!(one, Happening::StaleCleared { .. })), "{said:?}");
}
