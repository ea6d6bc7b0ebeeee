//! Unpublish, with Kubernetes.

use attachment::{ExportChange, Leaving, NodeFacts, Plan, Question, Want};
use volume::{Generation, NodeUid};

use crate::case::{G1, G2, attached, healthy, holder, in_cluster, node};

#[test]
fn an_unstage_is_proven_only_by_all_that_the_node_says() {
    for (facts, proven) in [
        (Some(healthy("a")), true),
        (None, false),
        (Some(NodeFacts { uid: NodeUid::of("other"), ..healthy("a") }), false),
        (Some(NodeFacts { uid: None, ..healthy("a") }), false),
        (Some(NodeFacts { ready: false, ..healthy("a") }), false),
        (Some(NodeFacts { out_of_service: true, ..healthy("a") }), false),
        (Some(NodeFacts { in_use: true, ..healthy("a") }), false),
    ] {
        let case = in_cluster().held_by(&["a"], false).with_node("a", facts.clone());
        let change = case.leave("a");
        assert_eq!(change.record.unproven, !proven, "{facts:?}");
        assert_eq!(
            (change.export, change.record.ended),
            (ExportChange::Close, Some(Generation::from_bits(G1)))
        );
    }
}

#[test]
fn a_holder_goes_by_its_name_whatever_became_of_its_node() {
    let recreated = NodeFacts { uid: NodeUid::of("other"), ..healthy("a") };
    let case = in_cluster().held_by(&["a"], false).with_node("a", Some(recreated));
    assert!(case.leave("a").record.holders.is_empty());
}

#[test]
fn one_member_that_left_unproven_makes_the_whole_generation_unproven() {
    let busy = NodeFacts { in_use: true, ..healthy("b") };
    let mut case = in_cluster().held_by(&["a", "b"], true).with_node("b", Some(busy));
    let change = case.leave("b");
    assert_eq!((&change.record.left, change.export.clone()), (&vec![holder("b")], ExportChange::Keep));
    case.apply(change);
    assert!(case.leave("a").record.unproven);
    let case = in_cluster().held_by(&["a", "b"], true);
    let change = case.leave("b");
    assert!(change.record.left.is_empty() && !change.record.unproven, "seen to let go");
}

#[test]
fn what_is_not_attached_is_a_success_without_a_question() {
    let case = in_cluster().held_by(&["a"], false);
    let leaving = attachment::Unpublish { leaving: Leaving::Node(node("b")) };
    let (plan, asked) = case.decide_asking(&attachment::Request::Unpublish(leaving));
    assert_eq!((plan, asked), (Plan::Detached, Vec::<Question>::new()));
}

#[test]
fn an_export_without_a_holder_closes_behind_a_node_unless_it_may_be_anothers() {
    let mut stray = in_cluster().exported(Some(G1)).wanted_by([Want { deleting: true, ..attached("b") }]);
    assert_eq!(stray.leave("b").export, ExportChange::Close);
    stray.cluster.attachments.unmapped.insert(node("c"));
    assert_eq!(stray.unpublish(Leaving::Node(node("b"))), Plan::Detached, "it may be that one's");
    let others = in_cluster().exported(Some(G1)).wanted_by([attached("a")]);
    assert_eq!(others.unpublish(Leaving::Node(node("b"))), Plan::Detached);
    assert!(matches!(others.unpublish(Leaving::Everybody), Plan::Detach(_)));
}

#[test]
fn an_export_passes_to_whom_an_attachment_names_and_the_record_had_lost() {
    let case = in_cluster().held_by(&["a"], true).wanted_by([attached("b")]);
    let change = case.leave("a");
    assert_eq!((change.record.holders, change.export), (vec![holder("b")], ExportChange::Keep));
    let older = Want { generation: Some(Generation::from_bits(G2)), ..attached("b") };
    let case = in_cluster().held_by(&["a"], true).wanted_by([older]);
    assert_eq!(case.leave("a").export, ExportChange::Close, "it names another");
}
