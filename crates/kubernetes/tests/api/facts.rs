//! What is asked live.

use attachment::Machines;
use kubernetes::{Claims, attachment_name, cluster_uid};
use serde_json::{Value, json};
use testbed::objects;
use volume::{Claim, Generation, NodeId, NodeUid, Slot};

use super::{DRIVER, PREFIX, admin, attached, client, control_plane, live, persistent_volume, soon};

fn node(name: &str) -> NodeId {
    NodeId::of_node(name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_read_as_it_is_and_a_missing_one_is_missing() {
    let (live, slot) = (live("rds-csi-controller").await, Slot::parse("pvc-facts").unwrap());
    assert_eq!(live.node(&node("facts-none"), &slot, soon()).await, Ok(None));
    let object = control_plane().add_node("facts-a", DRIVER, "rds:facts-a").unwrap();
    let uid = object["metadata"]["uid"].as_str().unwrap();
    let read = live.node(&node("facts-a"), &slot, soon()).await.unwrap().unwrap();
    assert_eq!((read.uid.as_str(), read.facts.uid), (uid, NodeUid::of(uid)));
    assert!(read.facts.ready && !read.facts.out_of_service && !read.facts.in_use);
    let in_use = json!({"status": {"volumesInUse": [format!("kubernetes.io/csi/{DRIVER}^pvc-facts")]}});
    control_plane().admin().patch(&["node", "facts-a", "--subresource=status"], &in_use).unwrap();
    control_plane().set_ready("facts-a", "Unknown").unwrap();
    control_plane().taint_out_of_service("facts-a").unwrap();
    let facts = live.node(&node("facts-a"), &slot, soon()).await.unwrap().unwrap().facts;
    assert!(!facts.ready && facts.out_of_service && facts.in_use);
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_are_listed_mapped_and_marked() {
    let live_one = live("rds-csi-controller").await;
    let (slot, name) = (Slot::parse("pvc-va").unwrap(), attachment_name("pvc-va", DRIVER, &node("va-a")));
    persistent_volume("va-pv", "pvc-va", None);
    attached(&name, "va-a", "va-pv", &format!("{PREFIX}:pvc-va.00000000000000ab"));
    admin(&objects::volume_attachment("va-lost", DRIVER, "va-b", "va-no-such-pv"));
    admin(&objects::volume_attachment("va-foreign", "other.csi", "va-c", "va-no-such-pv"));
    let all = live_one.volume_attachments(soon()).await.unwrap();
    let (_, want) = all.wants.iter().find(|(of, _)| *of == slot).unwrap();
    assert!(want.attached && !want.deleting && want.name == name);
    assert_eq!(want.generation, Some(Generation::from_bits(0xab)));
    assert!(all.unmapped.contains(&node("va-b")) && !all.unmapped.contains(&node("va-c")));
    let of = live_one.attachments(&slot, &Claims::empty(), soon()).await.unwrap();
    assert_eq!(of.wants, std::slice::from_ref(want));

    live_one.mark_unfenced(&slot, &node("va-a"), Some("va-z"), soon()).await.unwrap();
    let on_node = live("rds-csi-node").await;
    assert_eq!(on_node.unfenced(&slot, &node("va-a"), soon()).await, Ok(Some("va-z".to_owned())));
    assert_eq!(on_node.attachment(&slot, &node("va-a"), soon()).await.as_ref(), Ok(&Some(want.clone())));
    live_one.mark_unfenced(&slot, &node("va-a"), None, soon()).await.unwrap();
    assert_eq!(on_node.unfenced(&slot, &node("va-a"), soon()).await, Ok(None));
    assert_eq!(on_node.attachment(&slot, &node("va-none"), soon()).await, Ok(None));
    control_plane().kubectl(&["delete", "volumeattachment", &name, "va-lost", "va-foreign"]).unwrap();
    assert!(live_one.attachments(&slot, &Claims::empty(), soon()).await.unwrap().wants.is_empty());
}

fn launcher(name: &str, machine: &str, claims: &[&str]) -> Value {
    let mut pod = objects::block_pod(name, None, claims);
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "kubevirt.io/v1", "controller": true,
        "kind": "VirtualMachineInstance", "name": machine, "uid": machine}]);
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_one_machine_are_told_from_those_of_two() {
    let live = live("rds-csi-controller").await;
    let claim = Claim { namespace: "default".to_owned(), name: "vm-disk".to_owned(), uid: String::new() };
    let ask = async |on: &str| live.machines(&claim, &node(on), soon()).await.unwrap();
    assert_eq!(ask("vm-b").await, Machines::NoMachine);
    let source = admin(&launcher("vm-source", "vm-1", &[]));
    let mut plug = objects::block_pod("hp-volume", None, &["vm-disk"]);
    plug["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Pod", "controller": true,
        "name": "vm-source", "uid": source["metadata"]["uid"]}]);
    admin(&plug);
    let mut target = launcher("vm-target", "vm-1", &["vm-disk"]);
    target["spec"]["nodeName"] = "vm-b".into();
    admin(&target);
    assert_eq!(ask("vm-b").await, Machines::Same);
    assert_eq!(ask("vm-c").await, Machines::Different, "none of its pods is there");
    admin(&launcher("vm-other", "vm-2", &["vm-disk"]));
    assert_eq!(ask("vm-b").await, Machines::Different);
    control_plane().set_pod_phase("vm-other", "Succeeded").unwrap();
    assert_eq!(ask("vm-b").await, Machines::Same);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_has_an_id() {
    let client = client("rds-csi-controller").await;
    let namespace = control_plane().admin().get(&["namespace", "kube-system"]).unwrap().unwrap();
    assert_eq!(cluster_uid(&client, soon()).await.unwrap(), namespace["metadata"]["uid"].as_str().unwrap());
}
