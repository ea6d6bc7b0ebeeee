//! Publish 5: two nodes on a ReadWriteMany block volume (R18), with Kubernetes.

use attachment::{
    AllowList, ExportChange, Later, Machines, NodeFacts, Plan, PodsUnreadable, Question, Refusal, Want,
};
use volume::{Fencing, Generation, Migration, Record};

use crate::case::{Case, G1, NOW, attach, attached, healthy, holder, in_cluster};

fn held_by_a() -> Case {
    in_cluster().held_by(&["a"], true).wanted_by([attached("a")])
}

/// The target has left without being seen to let go.
fn b_left() -> Case {
    let mut case = held_by_a().with_node("b", Some(NodeFacts { ready: false, ..healthy("b") }));
    case.observed.record.left = vec![holder("b")];
    case.observed.record.unproven = true;
    case
}

#[test]
fn a_second_node_joins_for_the_migration_of_one_machine_with_a_deadline() {
    let case = held_by_a();
    let (plan, asked) = case.decide_asking(&case.publishing("b", true, true));
    assert_eq!(asked.last(), Some(&Question::Machines));
    let change = attach(plan);
    assert_eq!((change.record.holders, change.export), (vec![holder("a"), holder("b")], ExportChange::Keep));
    assert_eq!(change.record.generation, Some(Generation::from_bits(G1)));
    assert_eq!(change.record.migration, Some(Migration { started: NOW, deadline: NOW + 300 }));
}

#[test]
fn a_second_node_does_not_join_one_that_has_the_block_volume_for_itself() {
    assert!(
        matches!(held_by_a().publish("b", true, false), Plan::Refuse(Refusal::Held(_))),
        "not asked as shared"
    );
    for (first, again, joins) in
        [(false, false, false), (true, true, true), (true, false, false), (false, true, true)]
    {
        let mut case = in_cluster();
        for shared in [first, again] {
            if let Plan::Attach(change, _) = case.publish("a", true, shared) {
                case.apply(change);
            }
        }
        let plan = case.wanted_by([attached("a")]).publish("b", true, true);
        assert_eq!(matches!(plan, Plan::Attach(..)), joins, "{first} {again}: {plan:?}");
        assert!(joins || matches!(plan, Plan::Refuse(Refusal::Held(_))), "{plan:?}");
    }
}

#[test]
fn a_list_grows_for_a_second_node_without_touching_the_export() {
    let mut case = held_by_a();
    (case.fencing, case.allow_list) = (Fencing::HostNqn, AllowList::Comma);
    case.observed.export.as_mut().unwrap().allow = vec!["nqn.host:a".into()];
    let grown = ExportChange::Allow(vec!["nqn.host:a".into(), "nqn.host:b".into()]);
    assert_eq!(attach(case.publish("b", true, true)).export, grown);
    case.allow_list = AllowList::One;
    assert_eq!(case.publish("b", true, true), Plan::Refuse(Refusal::ListCannotGrow));
}

#[test]
fn a_second_node_comes_only_as_its_pods_and_the_configuration_allow() {
    for (machines, plain, unreadable, joins, migrates) in [
        (Machines::Same, false, PodsUnreadable::Refuse, true, true),
        (Machines::Different, true, PodsUnreadable::Allow, false, false),
        (Machines::NoMachine, false, PodsUnreadable::Allow, false, false),
        (Machines::NoMachine, true, PodsUnreadable::Refuse, true, false),
        (Machines::Forbidden, true, PodsUnreadable::Refuse, false, false),
        (Machines::Forbidden, false, PodsUnreadable::Allow, true, true),
    ] {
        let mut case = held_by_a();
        (case.cluster.machines, case.rwx_plain_pods, case.pods_unreadable) = (machines, plain, unreadable);
        match case.publish("b", true, true) {
            Plan::Attach(change, _) => {
                assert!(joins, "{machines:?}");
                assert_eq!(change.record.migration.is_some(), migrates, "{machines:?}");
            }
            Plan::Refuse(Refusal::NotOneMachine(nodes) | Refusal::PodsUnreadable(nodes)) => {
                assert!(!joins && nodes == [holder("a")], "{machines:?}");
            }
            plan => panic!("{machines:?}: {plan:?}"),
        }
    }
}

#[test]
fn nobody_joins_a_node_that_is_being_detached_and_from_one_that_is_gone_it_is_taken_over() {
    let deleting = held_by_a().wanted_by([Want { deleting: true, ..attached("a") }]);
    assert!(matches!(deleting.publish("b", true, true), Plan::Later(Later::Detaching(_))));
    let gone = held_by_a().wanted_by([]);
    assert!(matches!(gone.publish("b", true, true), Plan::Close(_)));
}

#[test]
fn a_third_node_does_not_come() {
    let case = in_cluster().held_by(&["a", "b"], true).wanted_by([attached("a"), attached("b")]);
    assert!(matches!(case.publish("c", true, true), Plan::Refuse(Refusal::Full(_))));
}

#[test]
fn taking_over_from_one_of_two_drops_it_and_leaves_the_others_export_alone() {
    let two = || in_cluster().held_by(&["a", "b"], true).wanted_by([attached("a")]);
    for (b, left, unproven) in [
        (Some(healthy("b")), 0, false),
        (Some(NodeFacts { in_use: true, ..healthy("b") }), 1, true),
        (Some(NodeFacts { out_of_service: true, ..healthy("b") }), 0, true),
        (None, 1, true),
    ] {
        let Plan::Note(change) = two().with_node("b", b.clone()).publish("c", true, true) else {
            panic!("{b:?}")
        };
        assert_eq!((change.record.holders, change.export), (vec![holder("a")], ExportChange::Keep));
        assert_eq!((change.record.left.len(), change.record.unproven), (left, unproven), "{b:?}");
    }
}

#[test]
fn who_left_unproven_keeps_others_off_and_may_come_back() {
    let case = b_left();
    assert_eq!(case.publish("c", true, true), Plan::Refuse(Refusal::Unfenced(vec![holder("b")])));
    let back = attach(case.publish("b", true, true));
    assert!(back.record.left.is_empty() && back.record.holders.len() == 2);
    let recreated = NodeFacts { uid: volume::NodeUid::of("again"), ..healthy("b") };
    let again = b_left().with_node("b", Some(recreated));
    assert!(matches!(again.publish("b", true, true), Plan::Refuse(Refusal::Unfenced(_))), "another holder");
}

#[test]
fn who_left_is_fenced_by_its_node_ready_without_the_volume_or_by_the_taint_and_by_nothing_else() {
    let fence = |facts: NodeFacts| b_left().with_node("b", Some(facts));
    for fenced in [healthy("b"), NodeFacts { out_of_service: true, ready: false, ..healthy("b") }] {
        let case = fence(fenced);
        for plan in [case.publish("c", true, true), case.reconcile(std::time::Duration::ZERO)] {
            let Plan::Note(change) = plan else { panic!("{plan:?}") };
            assert!(change.record.left.is_empty() && change.record.unproven);
        }
    }
    for live in [
        NodeFacts { in_use: true, ..healthy("b") },
        NodeFacts { ready: false, ..healthy("b") },
        NodeFacts { uid: volume::NodeUid::of("again"), ..healthy("b") },
    ] {
        let case = fence(live);
        assert!(matches!(case.publish("c", true, true), Plan::Refuse(Refusal::Unfenced(_))));
        assert_eq!(case.reconcile(std::time::Duration::ZERO), Plan::Idle);
    }
    let last = b_left().leave("a");
    assert!(last.record.left.is_empty() && last.record.unproven && last.export == ExportChange::Close);
}

/// A record as the next call reads it: names that do not fit are hashed.
fn written(record: &Record) -> Record {
    Record::parse(&record.to_comment().unwrap()).unwrap().unwrap()
}

#[test]
fn who_left_keeps_its_name_so_that_its_node_can_fence_it_once_its_attachment_is_gone() {
    let (a, b) = ("a".repeat(80), "b".repeat(80));
    let busy = NodeFacts { in_use: true, ..healthy(&b) };
    let mut case = in_cluster().held_by(&[&a, &b], true).wanted_by([attached(&a)]);
    case = case.with_node(&a, Some(healthy(&a))).with_node(&b, Some(busy));
    case.observed.record = written(&case.observed.record);
    assert_eq!(case.observed.record.holders[1].node_id(), None, "both names do not fit");
    case.observed.record = written(&case.leave(&b).record);
    assert_eq!(case.observed.record.left, [holder(&b)]);
    assert_eq!(case.reconcile(std::time::Duration::ZERO), Plan::Idle, "it may still write");
    let case = case.with_node(&b, Some(healthy(&b)));
    let Plan::Note(change) = case.reconcile(std::time::Duration::ZERO) else { panic!("not fenced") };
    assert!(change.record.left.is_empty());
}

#[test]
fn who_left_under_a_name_that_does_not_fit_may_come_back_as_the_heir_and_is_fenced_by_no_rewriting() {
    let b = "b".repeat(200);
    let mut case = held_by_a().with_node(&b, Some(NodeFacts { in_use: true, ..healthy(&b) }));
    (case.observed.record.left, case.observed.record.unproven) = (vec![holder(&b)], true);
    case.observed.record = written(&case.observed.record);
    assert_eq!(case.observed.record.left[0].node_id(), None, "it does not fit by itself");
    let both = case.wanted_by([attached("a"), attached(&b)]);
    assert_eq!(both.reconcile(std::time::Duration::ZERO), Plan::Idle, "its name alone is no change");
    let Plan::Restore(change) = both.wanted_by([attached(&b)]).publish("c", true, true) else {
        panic!("b has what is exported")
    };
    assert_eq!((change.record.holders, change.record.left), (vec![holder(&b)], vec![]));
}

#[test]
fn a_node_made_anew_is_not_the_member_that_left_and_inherits_nothing_beside_it() {
    let again = NodeFacts { uid: volume::NodeUid::of("again"), ..healthy("b") };
    let case = b_left().with_node("b", Some(again)).wanted_by([attached("b")]);
    let plan = case.publish("c", true, true);
    assert!(matches!(plan, Plan::Later(Later::Contradiction { .. })), "{plan:?}");
}

#[test]
fn the_node_that_stays_is_told_to_stay_alone_while_somebody_is_not_fenced() {
    let record = b_left().observed.record;
    let alone = attachment::must_stay_alone(&record).unwrap();
    assert_eq!((alone.staying, alone.unfenced), (&[holder("a")][..], &[holder("b")][..]));
    assert_eq!(attachment::must_stay_alone(&held_by_a().observed.record), None);
    let back = attach(b_left().publish("b", true, true)).record;
    assert_eq!(attachment::must_stay_alone(&back), None);
}
