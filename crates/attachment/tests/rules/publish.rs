//! Publish 1 to 4 and 6, with Kubernetes.

use attachment::{Change, Export, ExportChange, Later, NodeFacts, Plan, Question, Refusal, Want};
use volume::{Fencing, Generation, NodeUid, Record};

use crate::case::{Case, G1, G2, GRACE, SETTLE, attach, attached, healthy, holder, in_cluster, node};

fn restored(plan: Plan) -> Change {
    match plan {
        Plan::Restore(change) => change,
        plan => panic!("{plan:?}"),
    }
}

fn taken_over(plan: Plan) -> Change {
    match plan {
        Plan::Close(change) => change,
        plan => panic!("{plan:?}"),
    }
}

fn off(name: &str) -> NodeFacts {
    NodeFacts { out_of_service: true, ..healthy(name) }
}

#[test]
fn a_free_volume_needs_the_node_that_asks_and_the_attachments_and_nothing_else() {
    let case = in_cluster();
    let (plan, asked) = case.decide_asking(&case.publishing("a", false, false));
    assert_eq!(asked, [Question::Nodes(vec![node("a")]), Question::Attachments]);
    let change = attach(plan);
    assert_eq!(
        (change.record.holders, change.record.generation),
        (vec![holder("a")], Some(Generation::from_bits(G2)))
    );
}

#[test]
fn a_node_that_is_not_there_or_not_the_one_that_was_asked_for_gets_nothing() {
    let case = in_cluster();
    assert_eq!(case.publish("x", false, false), Plan::Refuse(Refusal::NoNode(node("x"))));
    let request = case.publishing("a", false, false);
    for facts in
        [NodeFacts { uid: NodeUid::of("other"), ..healthy("a") }, NodeFacts { uid: None, ..healthy("a") }]
    {
        let changed = in_cluster().with_node("a", Some(facts));
        assert_eq!(changed.decide(&request), Plan::Later(Later::NodeChanged(node("a"))));
    }
}

#[test]
fn a_lost_attachment_that_stands_is_restored_for_its_holder_before_anybody_gets_the_volume() {
    for name in ["a", "b"] {
        let mut case = in_cluster().wanted_by([attached("a")]);
        let change = restored(case.publish(name, false, false));
        assert_eq!(change.record.holders, [holder("a")]);
        assert_eq!(change.record.generation, Some(Generation::from_bits(G1)));
        assert!(
            matches!(&change.export, ExportChange::Open { nqn, .. } if nqn.as_str() == case.nqn(Some(G1)))
        );
        case.apply(change);
        let plan = case.publish(name, false, false);
        let got = match name {
            "a" => matches!(plan, Plan::Attach(..)),
            _ => matches!(plan, Plan::Refuse(Refusal::Held(_))),
        };
        assert!(got, "{name}: {plan:?}");
    }
}

#[test]
fn what_is_being_deleted_or_not_attached_or_out_of_service_is_not_restored() {
    let wants = [Want { deleting: true, ..attached("a") }, Want { attached: false, ..attached("a") }];
    for want in wants {
        assert!(matches!(in_cluster().wanted_by([want]).publish("b", false, false), Plan::Attach(..)));
    }
    let case = in_cluster().wanted_by([attached("a")]).with_node("a", Some(off("a")));
    assert!(matches!(case.publish("b", false, false), Plan::Attach(..)));
}

#[test]
fn claims_that_cannot_be_so_stop_everything() {
    let unknown = Want { generation: None, ..attached("a") };
    let other = Want { generation: Some(Generation::from_bits(G2)), ..attached("b") };
    let cases: [(&str, Case); 6] = [
        ("Node is gone", in_cluster().wanted_by([attached("a")]).with_node("a", None)),
        ("metadata", in_cluster().wanted_by([unknown])),
        ("another generation", in_cluster().ended().wanted_by([attached("a"), other.clone()])),
        ("which of their generations came last", in_cluster().wanted_by([attached("a"), other])),
        ("never share", in_cluster().wanted_by([attached("a"), attached("b")])),
        ("another name", in_cluster().wanted_by([attached("a")]).exported(Some(G2))),
    ];
    for (why, case) in cases {
        let Plan::Later(later) = case.publish("c", false, false) else { panic!("{why}") };
        assert!(later.to_string().contains(why), "{later}");
        assert!(later.to_string().contains("delete one whose pods are gone"), "no way out: {later}");
    }
}

#[test]
fn where_nothing_tells_which_generation_came_last_none_is_restored_until_one_attachment_is_deleted() {
    let later = || Want { generation: Some(Generation::from_bits(G2)), ..attached("b") };
    // Somebody wrote the record anew, and b, which had taken over from a, is said to be off.
    let rewritten = || in_cluster().wanted_by([attached("a"), later()]).with_node("b", Some(off("b")));
    for name in ["a", "b", "c"] {
        let plan = rewritten().publish(name, false, false);
        let Plan::Later(Later::Contradiction { attachments, .. }) = &plan else { panic!("{plan:?}") };
        assert_eq!(*attachments, ["va-a", "va-b"]);
        let case = rewritten().wanted_by([attached("a"), Want { deleting: true, ..later() }]);
        assert_eq!(restored(case.publish(name, false, false)).record.holders, [holder("a")]);
        let case = rewritten().wanted_by([Want { deleting: true, ..attached("a") }, later()]);
        assert!(
            matches!(case.publish(name, false, false), Plan::Attach(..)),
            "{name}: who is off claims nothing"
        );
    }
    assert!(matches!(rewritten().reconcile(GRACE), Plan::Later(Later::Contradiction { .. })));
}

#[test]
fn what_came_last_is_told_by_the_record_and_by_what_is_exported() {
    let later = Want { generation: Some(Generation::from_bits(G2)), ..attached("b") };
    let cluster = || in_cluster().wanted_by([attached("a"), later.clone()]).with_node("b", Some(off("b")));
    for case in [cluster().ended(), cluster().exported(Some(G1))] {
        assert_eq!(restored(case.publish("c", false, false)).record.holders, [holder("a")]);
    }
}

#[test]
fn an_attachment_that_another_has_overtaken_is_never_restored() {
    let mut case = in_cluster().ended().wanted_by([attached("a")]);
    assert!(matches!(case.publish("b", false, false), Plan::Restore(_)), "nobody came after the last one");
    case.observed.record.ended = Some(Generation::from_bits(G2));
    assert!(matches!(case.publish("b", false, false), Plan::Later(Later::Contradiction { .. })));
    assert!(
        matches!(case.publish("a", false, false), Plan::Attach(..)),
        "its own past does not keep a node off"
    );
}

#[test]
fn a_holder_needs_no_more_than_its_node_while_the_export_stands() {
    let case = in_cluster().held_by(&["a"], false);
    let (plan, asked) = case.decide_asking(&case.publishing("a", false, false));
    assert!(matches!(plan, Plan::Attached(_)) && asked == [Question::Nodes(vec![node("a")])]);
}

#[test]
fn a_closed_export_is_opened_again_but_not_for_a_node_that_is_being_detached() {
    let mut case = in_cluster().held_by(&["a"], false).wanted_by([attached("a")]);
    case.observed.export = None;
    assert!(matches!(attach(case.publish("a", false, false)).export, ExportChange::Open { .. }));
    let case = case.wanted_by([Want { deleting: true, ..attached("a") }]);
    assert!(matches!(case.publish("a", false, false), Plan::Later(Later::Detaching(_))));
}

#[test]
fn another_holder_is_in_the_way_while_its_attachment_is_there() {
    let held = || in_cluster().held_by(&["a"], false);
    let refused = held().wanted_by([attached("a")]).publish("b", false, false);
    assert!(matches!(&refused, Plan::Refuse(Refusal::Held(nodes)) if *nodes == [holder("a")]), "{refused:?}");
    let starting = Want { attached: false, generation: None, ..attached("a") };
    assert!(matches!(
        held().wanted_by([starting]).publish("b", false, false),
        Plan::Refuse(Refusal::Held(_))
    ));
    let deleting = Want { deleting: true, ..attached("a") };
    let later = held().wanted_by([deleting]).publish("b", false, false);
    assert!(matches!(later, Plan::Later(Later::Detaching(_))), "{later:?}");
}

#[test]
fn a_deleted_node_alone_clears_nothing() {
    let case = in_cluster().held_by(&["a"], false).wanted_by([attached("a")]).with_node("a", None);
    assert!(matches!(case.publish("b", false, false), Plan::Refuse(Refusal::Held(_))));
}

#[test]
fn a_holder_that_is_gone_is_taken_over_from_settled_and_followed_by_a_new_generation() {
    let gone = in_cluster().held_by(&["a"], false);
    let tainted =
        in_cluster().held_by(&["a"], false).wanted_by([attached("a")]).with_node("a", Some(off("a")));
    for mut case in [gone, tainted] {
        let change = taken_over(case.publish("b", false, false));
        assert!(change.record.unproven && change.record.holders.is_empty());
        assert_eq!((change.record.generation, &change.export), (None, &ExportChange::Close));
        case.apply(change);
        case.settle_left = SETTLE;
        assert_eq!(case.publish("b", false, false), Plan::Settle(SETTLE));
        case.settle_left = std::time::Duration::ZERO;
        assert_eq!(
            attach(case.publish("b", false, false)).record.generation,
            Some(Generation::from_bits(G2))
        );
    }
}

#[test]
fn a_holder_whose_attachments_are_not_all_known_is_not_taken_over_from() {
    let mut case = in_cluster().held_by(&["a"], false);
    case.cluster.attachments.unmapped.insert(node("a"));
    assert_eq!(case.publish("b", false, false), Plan::Later(Later::Unmapped(vec![node("a")])));
    case.cluster.attachments.unmapped = [node("c")].into();
    taken_over(case.publish("b", false, false));
}

#[test]
fn a_taint_on_a_later_node_of_the_same_name_says_nothing_of_the_holder() {
    let other = NodeFacts { uid: NodeUid::of("other"), ..off("a") };
    let case = in_cluster().held_by(&["a"], false).wanted_by([attached("a")]).with_node("a", Some(other));
    assert!(matches!(case.publish("b", false, false), Plan::Refuse(Refusal::Held(_))));
}

#[test]
fn a_recreated_node_takes_over_from_itself_once_its_attachment_of_before_is_over() {
    let recreated = NodeFacts { uid: NodeUid::of("again"), ..healthy("a") };
    let case = in_cluster().held_by(&["a"], false).with_node("a", Some(recreated));
    let anew = Want { attached: false, generation: None, ..attached("a") };
    let case = case.wanted_by([anew]);
    taken_over(case.publish("a", false, false));
    let case = case.wanted_by([attached("a")]);
    let plan = case.publish("a", false, false);
    assert!(matches!(plan, Plan::Later(Later::Recreated { .. })), "its pods may run on: {plan:?}");
}

#[test]
fn an_export_without_a_holder_is_written_to_the_node_whose_attachment_names_it() {
    let case = in_cluster().exported(Some(G1)).wanted_by([attached("a")]);
    let change = restored(case.publish("b", false, false));
    assert_eq!((change.export, change.record.holders), (ExportChange::Keep, vec![holder("a")]));
    let mut stray = in_cluster().exported(Some(G1));
    taken_over(stray.publish("b", false, false));
    stray.cluster.attachments.unmapped.insert(node("c"));
    assert!(matches!(stray.publish("b", false, false), Plan::Later(Later::Unmapped(_))));
}

#[test]
fn an_export_under_another_name_is_not_closed_under_whom_its_attachment_names() {
    let mut case = in_cluster().held_by(&["a"], false).exported(Some(G2));
    let other = Want { generation: Some(Generation::from_bits(G2)), ..attached("c") };
    case = case.wanted_by([other]);
    let change = restored(case.publish("b", false, false));
    assert_eq!((change.record.holders, change.export), (vec![holder("c")], ExportChange::Keep));
    assert_eq!(change.record.generation, Some(Generation::from_bits(G2)));
}

#[test]
fn mode_off_takes_over_without_closing() {
    let mut case = in_cluster();
    case.fencing = Fencing::Off;
    case.observed.record = Record { holders: vec![holder("a")], ..case.observed.record };
    case.observed.export = Some(Export { nqn: case.nqn(None), allow: Vec::new() });
    let change = taken_over(case.publish("b", false, false));
    assert_eq!(change.export, ExportChange::Keep);
    case.apply(change);
    assert_eq!(attach(case.publish("b", false, false)).record.generation, None);
}

#[test]
fn without_generations_two_attachments_that_stand_do_not_share_what_was_a_file_system() {
    let mut case = in_cluster().held_by(&["c"], true);
    case.fencing = Fencing::Off;
    case.observed.record.generation = None;
    case.observed.export = Some(Export { nqn: case.nqn(None), allow: Vec::new() });
    let case = case.with_node("d", Some(healthy("d")));
    let mut case = case.wanted_by(["a", "b"].map(|name| Want { generation: None, ..attached(name) }));
    let change = restored(case.publish("d", true, true));
    assert_eq!((change.record.holders, change.record.shared), (vec![holder("a"), holder("b")], true));
    case.observed.record.published.filesystem = true;
    assert!(matches!(case.publish("d", true, true), Plan::Later(Later::Contradiction { .. })));
}

#[test]
fn a_record_of_a_later_leader_is_not_written_over_and_every_record_names_its_leader() {
    let mut case = in_cluster();
    (case.term, case.observed.record.term) = (7, 8);
    assert_eq!(case.publish("a", false, false), Plan::Outranked(8));
    case.term = 9;
    assert_eq!(attach(case.publish("a", false, false)).record.term, 9);
}
