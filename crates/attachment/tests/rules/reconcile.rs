//! The reconciler: each clause of closing alone keeps an export open, and what stands is put back.

use std::time::Duration;

use attachment::{ExportChange, NodeFacts, Plan, Question, Want, unwanted};
use volume::Migration;

use crate::case::{Case, G1, GRACE, NOW, attached, case, healthy, holder, in_cluster, node};

/// A holder that nobody wants: every clause of closing holds once it is old enough.
fn unwanted_holder() -> Case {
    in_cluster().held_by(&["a"], false)
}

#[test]
fn where_every_clause_holds_the_export_is_closed() {
    for case in [unwanted_holder(), unwanted_holder().wanted_by([Want { deleting: true, ..attached("a") }])] {
        let Plan::Detach(change) = case.reconcile(GRACE) else { panic!("{:?}", case.reconcile(GRACE)) };
        assert!(
            change.export == ExportChange::Close
                && change.record.holders.is_empty()
                && !change.record.unproven
        );
    }
    let busy = NodeFacts { in_use: true, ..healthy("a") };
    let Plan::Detach(change) = unwanted_holder().with_node("a", Some(busy)).reconcile(GRACE) else {
        panic!()
    };
    assert!(change.record.unproven);
}

#[test]
fn a_volume_attachment_alone_keeps_it_open() {
    let starting = Want { attached: false, generation: None, ..attached("a") };
    for want in [attached("a"), starting] {
        assert_eq!(unwanted_holder().wanted_by([want]).reconcile(GRACE), Plan::Idle);
    }
}

#[test]
fn youth_alone_keeps_it_open() {
    assert_eq!(unwanted_holder().reconcile(GRACE - Duration::from_millis(1)), Plan::Idle);
    let unseen = attachment::Request::Reconcile(attachment::Reconcile::default());
    assert_eq!(unwanted_holder().decide(&unseen), Plan::Idle, "nobody saw it unwanted");
}

#[test]
fn an_attachment_of_its_node_that_maps_to_nothing_alone_keeps_it_open_and_blocks_no_other_node() {
    let mut case = unwanted_holder();
    case.cluster.attachments.unmapped = [node("a")].into();
    assert_eq!(case.reconcile(GRACE), Plan::Idle);
    case.cluster.attachments.unmapped = [node("b")].into();
    assert!(matches!(case.reconcile(GRACE), Plan::Detach(_)));
}

#[test]
fn nothing_is_closed_before_both_lookups_have_answered() {
    let case = unwanted_holder();
    let holders = [(holder("a"), GRACE)].into();
    let reconcile = attachment::Reconcile { holders_unwanted_for: holders, export_unwanted_for: GRACE };
    let (plan, asked) = case.decide_asking(&attachment::Request::Reconcile(reconcile));
    assert!(matches!(plan, Plan::Detach(_)));
    assert_eq!(asked, [Question::Attachments, Question::Nodes(vec![node("a")])]);
    let alone = case_without_kubernetes();
    assert_eq!(alone.reconcile(GRACE), Plan::Idle, "nobody can say what is wanted");
}

fn case_without_kubernetes() -> Case {
    case().held_by(&["a"], false)
}

#[test]
fn an_export_without_a_holder_is_closed_by_the_same_clauses() {
    let stray = || in_cluster().exported(Some(G1));
    assert!(matches!(stray().reconcile(GRACE), Plan::Close(_)));
    assert_eq!(stray().reconcile(GRACE - Duration::from_millis(1)), Plan::Idle);
    let starting = Want { attached: false, generation: None, ..attached("a") };
    assert_eq!(stray().wanted_by([starting]).reconcile(GRACE), Plan::Idle);
    let mut unmapped = stray();
    unmapped.cluster.attachments.unmapped = [node("c")].into();
    assert_eq!(unmapped.reconcile(GRACE), Plan::Idle);
}

#[test]
fn what_the_device_lost_is_put_back() {
    let lost = in_cluster().wanted_by([attached("a")]);
    let Plan::Restore(change) = lost.reconcile(Duration::ZERO) else { panic!() };
    assert_eq!(change.record.holders, [holder("a")]);
    let stray = in_cluster().exported(Some(G1)).wanted_by([attached("a")]);
    let Plan::Restore(change) = stray.reconcile(GRACE) else { panic!() };
    assert_eq!((change.record.holders, change.export), (vec![holder("a")], ExportChange::Keep));
}

#[test]
fn a_closed_export_is_opened_again_only_while_its_attachment_stands_and_its_node_is_not_off() {
    let mut shut = in_cluster().held_by(&["a"], false).wanted_by([attached("a")]);
    shut.observed.export = None;
    let Plan::Restore(change) = shut.reconcile(Duration::ZERO) else { panic!() };
    assert!(matches!(change.export, ExportChange::Open { nqn, .. } if nqn.as_str() == shut.nqn(Some(G1))));
    assert_eq!(change.record, shut.observed.record);
    for want in [Want { deleting: true, ..attached("a") }, Want { attached: false, ..attached("a") }] {
        shut = shut.wanted_by([want]);
        assert_eq!(shut.reconcile(Duration::ZERO), Plan::Idle);
    }
    let off = NodeFacts { out_of_service: true, ..healthy("a") };
    let shut = shut.wanted_by([attached("a")]).with_node("a", Some(off));
    assert_eq!(shut.reconcile(Duration::ZERO), Plan::Idle);
}

#[test]
fn one_of_two_that_nobody_wants_leaves_and_the_others_export_stands() {
    let case = in_cluster().held_by(&["a", "b"], true).wanted_by([attached("a")]);
    let Plan::Note(change) = case.reconcile(GRACE) else { panic!() };
    assert_eq!((change.record.holders, change.export), (vec![holder("a")], ExportChange::Keep));
}

#[test]
fn a_migration_that_takes_too_long_is_said_once_and_nothing_is_torn() {
    let mut case = in_cluster().held_by(&["a", "b"], true).wanted_by([attached("a"), attached("b")]);
    case.observed.record.migration = Some(Migration { started: NOW - 300, deadline: NOW });
    case.now = NOW - 1;
    assert_eq!(case.reconcile(GRACE), Plan::Idle);
    case.now = NOW - 3_600;
    assert_eq!(case.reconcile(GRACE), Plan::Idle, "a clock that was set back only makes it late");
    case.now = NOW;
    let Plan::Note(change) = case.reconcile(GRACE) else { panic!() };
    assert_eq!((change.record.holders.len(), change.export.clone()), (2, ExportChange::Keep));
    case.apply(change);
    assert_eq!(case.reconcile(GRACE), Plan::Idle);
}

#[test]
fn what_is_unwanted_is_told_by_the_same_clauses() {
    let case = unwanted_holder();
    let holders = |case: &Case| unwanted(&case.observed, &case.cluster.attachments, &case.terms()).holders;
    assert_eq!(holders(&case), [holder("a")]);
    assert!(holders(&case.wanted_by([attached("a")])).is_empty());
    let stray = in_cluster().exported(Some(G1));
    assert!(unwanted(&stray.observed, &stray.cluster.attachments, &stray.terms()).export);
}
