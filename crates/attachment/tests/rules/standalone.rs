//! The rules where there is no Kubernetes.

use std::time::Duration;

use attachment::{AllowList, Export, ExportChange, Leaving, Observed, Plan, Publish, Refusal, Request};
use volume::{Fencing, Generation, NodeRef};

use crate::case::{Case, G1, G2, SETTLE, attach, case, node};

#[test]
fn a_free_volume_gets_generation_export_and_holder_in_one_write() {
    let case = case();
    let change = attach(case.publish("a", false, false));
    assert_eq!(change.record.generation, Some(Generation::from_bits(G2)));
    assert!(change.record.holder(&node("a")).is_some());
    let ExportChange::Open { nqn, allow } = change.export else { panic!("{:?}", change.export) };
    assert_eq!((nqn.to_string(), allow), (case.nqn(Some(G2)), Vec::new()));
}

#[test]
fn a_holder_gets_its_recorded_generation_even_where_the_export_was_lost() {
    let mut case = case().held_by(&["a"], false);
    assert!(
        matches!(case.publish("a", false, false), Plan::Attached(told) if told.nqn.as_str() == case.nqn(Some(G1)))
    );
    case.observed.export = None;
    let change = attach(case.publish("a", false, false));
    assert_eq!(change.record, case.observed.record);
    assert!(matches!(change.export, ExportChange::Open { nqn, .. } if nqn.as_str() == case.nqn(Some(G1))));
}

#[test]
fn another_holder_is_always_refused_and_named() {
    let case = case().held_by(&["a"], false);
    let Plan::Refuse(refusal) = case.publish("b", false, false) else { panic!("not refused") };
    assert!(refusal.is_conflict() && refusal.to_string().contains("node a;"), "{refusal}");
    assert!(matches!(case.publish("b", true, true), Plan::Refuse(Refusal::Held(_))), "it was a file system");
}

#[test]
fn an_export_that_nobody_holds_is_closed_settled_and_minted_anew() {
    let mut case = case();
    case.observed.export = Some(Export { nqn: case.nqn(Some(G1)), allow: Vec::new() });
    let Plan::Close(change) = case.publish("a", false, false) else { panic!("not closed") };
    assert!(change.record.unproven && change.export == ExportChange::Close);
    (case.observed, case.settle_left) = (Observed { record: change.record, export: None }, SETTLE);
    assert_eq!(case.publish("a", false, false), Plan::Settle(SETTLE));
    case.settle_left = Duration::ZERO;
    assert_eq!(attach(case.publish("a", false, false)).record.generation, Some(Generation::from_bits(G2)));
}

#[test]
fn a_second_node_never_joins_a_block_volume_whatever_it_is_asked_as() {
    for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut case = case();
        let Plan::Attach(change, told) = case.publish("a", true, first) else { panic!("not attached") };
        let export = Export { nqn: told.nqn.to_string(), allow: Vec::new() };
        case.observed = Observed { record: change.record, export: Some(export) };
        let plan = case.publish("b", true, second);
        let holder = NodeRef::new(&node("a"), None);
        assert_eq!(plan, Plan::Refuse(Refusal::Held(vec![holder])), "{first} {second}");
        case.observed.export = None;
        assert!(matches!(case.publish("b", true, second), Plan::Refuse(Refusal::Held(_))), "it is closed");
    }
}

#[test]
fn two_that_had_it_when_there_was_kubernetes_keep_it_and_leave_and_nobody_comes_or_comes_back() {
    let mut case = case().held_by(&["a", "b"], true);
    for name in ["a", "b"] {
        assert!(matches!(case.publish(name, true, true), Plan::Attached(_)), "{name}");
    }
    assert!(matches!(case.publish("c", true, true), Plan::Refuse(Refusal::Full(_))));
    let change = case.leave("b");
    assert_eq!((change.export, change.record.left.len()), (ExportChange::Keep, 1));
    case.observed.record = change.record;
    assert!(matches!(case.publish("c", true, true), Plan::Refuse(Refusal::Unfenced(_))));
    assert!(matches!(case.publish("b", true, true), Plan::Refuse(Refusal::Held(_))));
    let last = case.leave("a");
    assert!(last.record.unproven && last.record.left.is_empty() && last.export == ExportChange::Close);
}

#[test]
fn unpublish_of_what_is_not_attached_is_a_success_and_an_empty_node_is_everybody() {
    assert_eq!(case().unpublish(Leaving::Everybody), Plan::Detached);
    let held = case().held_by(&["a", "b"], true);
    assert_eq!(held.unpublish(Leaving::Node(node("c"))), Plan::Detached);
    let Plan::Detach(change) = held.unpublish(Leaving::Everybody) else { panic!("not detached") };
    assert!(change.record.holders.is_empty() && change.export == ExportChange::Close);
}

#[test]
fn mode_off_keeps_its_export_and_still_refuses_a_second_holder() {
    let mut case = case();
    case.fencing = Fencing::Off;
    case.observed.export = Some(Export { nqn: case.nqn(None), allow: Vec::new() });
    let change = attach(case.publish("a", false, false));
    assert_eq!((change.export, change.record.generation), (ExportChange::Keep, None));
    case.observed.record = change.record;
    assert!(matches!(case.publish("b", false, false), Plan::Refuse(Refusal::Held(_))));
    assert_eq!(case.leave("a").export, ExportChange::Keep);
}

#[test]
fn a_change_of_mode_acts_at_the_next_free_publish() {
    let mut case = case().held_by(&["a"], false);
    case.fencing = Fencing::Off;
    assert!(
        matches!(case.publish("a", false, false), Plan::Attached(told) if told.nqn.as_str() == case.nqn(Some(G1)))
    );
    assert_eq!(case.leave("a").export, ExportChange::Close, "the export under the generation ends with it");
    let mut fixed = crate::case::case();
    fixed.observed.export = Some(Export { nqn: fixed.nqn(None), allow: Vec::new() });
    assert!(matches!(fixed.publish("a", false, false), Plan::Close(_)));
}

#[test]
fn an_export_under_another_name_is_neither_renamed_nor_closed_for_its_holder() {
    let mut case = case().held_by(&["a"], false);
    case.observed.export = Some(Export { nqn: "nqn.2000-02.com.mikrotik:other".into(), allow: Vec::new() });
    assert!(matches!(case.publish("a", false, false), Plan::Refuse(Refusal::Renamed { .. })));
    assert_eq!(case.leave("a").export, ExportChange::Close);
}

#[test]
fn a_shared_volume_is_listed_only_where_a_list_is_known_to_grow() {
    for (allow_list, shared, listed) in [
        (AllowList::Unproven, false, 1),
        (AllowList::Unproven, true, 0),
        (AllowList::One, true, 0),
        (AllowList::Comma, true, 1),
    ] {
        let case = Case { fencing: Fencing::HostNqn, allow_list, ..case() };
        let ExportChange::Open { allow, .. } = attach(case.publish("a", true, shared)).export else {
            panic!()
        };
        assert_eq!(allow.len(), listed, "{allow_list:?} shared {shared}");
        assert_eq!(case.terms().drops_list(shared), shared && listed == 0);
    }
}

#[test]
fn what_was_ever_a_block_device_is_told_so_at_every_publish_after() {
    let mut case = case();
    case.observed.record.published.block = true;
    assert!(matches!(case.publish("a", false, false), Plan::Attach(_, told) if told.published_as_block));
    assert!(
        matches!(crate::case::case().publish("a", false, false), Plan::Attach(_, told) if !told.published_as_block)
    );
}

#[test]
fn one_of_two_holders_does_not_get_the_volume_as_a_file_system() {
    let mut case = case().held_by(&["a", "b"], true);
    assert!(matches!(case.publish("a", false, false), Plan::Refuse(Refusal::Held(_))));
    case.observed.record = case.leave("b").record;
    assert!(matches!(case.publish("a", false, false), Plan::Refuse(Refusal::Unfenced(_))));
}

#[test]
fn a_recreated_node_of_the_same_name_is_another_holder() {
    let mut case = case().held_by(&["a"], true);
    let uid = volume::NodeUid::of("first");
    case.observed.record.holders = vec![NodeRef::new(&node("a"), uid)];
    let ask = Publish {
        node: node("a"),
        uid: volume::NodeUid::of("second"),
        host_nqn: "nqn.host:a".into(),
        block: true,
        shared: true,
        mint: Generation::from_bits(G2),
        migration_timeout: Duration::ZERO,
    };
    let plan = case.decide(&Request::Publish(ask));
    assert!(matches!(plan, Plan::Refuse(Refusal::Held(_))), "{plan:?}");
}
