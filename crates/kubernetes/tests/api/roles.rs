//! What the roles do not allow.

use kubernetes::{Claims, cluster_uid};
use volume::{NodeId, Slot};

use super::{client, control_plane, live, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_ask_for_nothing_but_its_attachments_and_which_cluster_it_is_of() {
    let (live, slot, node) =
        (live("rds-csi-node").await, Slot::parse("pvc-1").unwrap(), NodeId::of_node("a").unwrap());
    assert!(live.volume_attachments(soon()).await.unwrap_err().is_forbidden());
    assert!(live.attachments(&slot, &Claims::empty(), soon()).await.unwrap_err().is_forbidden());
    assert!(live.node(&node, &slot, soon()).await.unwrap_err().is_forbidden());
    assert!(live.mark_unfenced(&slot, &node, Some("b"), soon()).await.unwrap_err().is_forbidden());
    // Orphans are told from another cluster's connections by its mark.
    assert!(!cluster_uid(&client("rds-csi-node").await, soon()).await.unwrap().is_empty());
}

#[test]
fn nobody_may_read_secrets_or_change_what_is_not_theirs() {
    for account in ["rds-csi-controller", "rds-csi-node"] {
        let who = format!("--as=system:serviceaccount:rds-csi:{account}");
        for (verb, resource) in [
            ("get", "secrets"),
            ("delete", "persistentvolumes"),
            ("update", "persistentvolumes"),
            ("delete", "volumeattachments"),
            ("update", "nodes"),
            ("delete", "pods"),
            ("delete", "leases"),
            ("list", "persistentvolumeclaims"),
            ("list", "namespaces"),
        ] {
            let asked = control_plane().kubectl(&["auth", "can-i", verb, resource, &who, "-A"]);
            // It ends with 1 where the answer is no.
            assert!(asked.is_err(), "{account} may {verb} {resource}");
        }
    }
}
