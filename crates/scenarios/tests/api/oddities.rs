//! Objects of Kubernetes that are not as they should be (issue 4, "Bad input"): the safe answer, a clear line in the
//! log, and nothing lost.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use scenarios::{Cluster, ClusterOptions, DRIVER, Made, Shape};
use serde_json::{Value, json};
use testbed::objects::{self, Usage};
use testbed::wait_until;
use tonic::Code;

use super::SOON;
use super::by_hand::{
    attach, attach_error, block_volume, claim, detach, event_on, said_on, sample, tear_off, text, want,
};

/// What an unproven end is waited for by default, `--fence-settle`.
const SETTLE: Duration = Duration::from_secs(5);

/// One for all: each test has its own volumes, and the nodes a and b are there.
fn cluster() -> &'static Cluster {
    static SHARED: LazyLock<Cluster> = LazyLock::new(|| {
        let flags = ["--attachment-grace-period=1s", "--attachment-reconcile-interval=2s"];
        let controller = flags.map(str::to_owned).to_vec();
        let cluster = Cluster::start(&ClusterOptions { controller, ..ClusterOptions::default() }).unwrap();
        ["a", "b"].iter().for_each(|node| drop(cluster.add_node(node).unwrap()));
        cluster
    });
    &SHARED
}

/// A volume that the driver made and no provisioner knows, with a PersistentVolume of that name that nobody claims.
fn unclaimed(cluster: &Cluster, name: &str, change: impl FnOnce(&mut Value)) -> (Made, Value) {
    let made = cluster.pods[0].controller.csi.create(name, 64 << 20, &Shape::block()).unwrap();
    let volume = persistent_volume(cluster, name, &made.volume.volume_id, change);
    (made, volume)
}

fn persistent_volume(cluster: &Cluster, name: &str, handle: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut volume = objects::persistent_volume(name, DRIVER, handle, "64Mi", Usage::SHARED_BLOCK, None);
    change(&mut volume);
    cluster.admin().create(&volume).unwrap()
}

fn wait_for_log(cluster: &Cluster, words: &str) {
    cluster.pods[0].wait_for_log(words, SOON).unwrap();
}

#[test]
fn a_volume_that_nobody_claims_is_attached_and_only_the_log_says_so() {
    let cluster = cluster();
    let (made, volume) = unclaimed(cluster, "unclaimed", |_| {});
    let id = &made.volume.volume_id;
    let nqn = attach(cluster, "unclaimed-a", "a", &volume);
    assert!(cluster.device.exports().unwrap().contains(&nqn));
    wait_for_log(cluster, &format!("[{id}]: Attached to node a"));
    detach(cluster, "unclaimed-a");
    wait_for_log(cluster, &format!("[{id}]: Detached from node a"));
    let events = cluster.admin().get(&["events", "-A"]).unwrap().unwrap();
    assert!(!events.to_string().contains(id.as_str()));
    cluster.pods[0].controller.csi.delete(id).unwrap();
}

#[test]
fn a_volume_whose_claim_was_deleted_is_attached_and_the_events_name_that_claim() {
    let cluster = cluster();
    let volume = cluster.provision("deleted", "64Mi", Usage::BLOCK).unwrap();
    let object = claim(cluster, "default", "deleted");
    let name = text(&volume["metadata"]["name"]);
    let retain = json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } });
    cluster.admin().patch(&["persistentvolume", &name], &retain).unwrap();
    cluster.control_plane.kubectl(&["delete", "pvc", "-n", "default", "deleted"]).unwrap();
    attach(cluster, "deleted-a", "a", &volume);
    event_on(cluster, "VolumeAttached", "Normal", &object);
    detach(cluster, "deleted-a");
    event_on(cluster, "VolumeDetached", "Normal", &object);
}

#[test]
fn a_claim_in_a_namespace_that_is_gone_costs_the_event_and_nothing_else() {
    let cluster = cluster();
    let (made, volume) = unclaimed(cluster, "nowhere", |volume| {
        let claim =
            json!({ "kind": "PersistentVolumeClaim", "namespace": "no-such-namespace", "name": "data" });
        volume["spec"]["claimRef"] = claim;
    });
    let refused = "rds_csi_events_dropped_total{cause=\"Refused\"}";
    let before = sample(cluster, refused);
    attach(cluster, "nowhere-a", "a", &volume);
    detach(cluster, "nowhere-a");
    let counted = || Ok((sample(cluster, refused) >= before + 2).then_some(()));
    wait_until("both events are counted as refused", SOON, counted).unwrap();
    wait_for_log(cluster, "no-such-namespace");
    cluster.pods[0].controller.csi.delete(&made.volume.volume_id).unwrap();
}

#[test]
fn volumes_that_no_driver_made_are_refused_and_let_go_and_nothing_is_touched() {
    let cluster = cluster();
    let bystander = cluster.provision("bystander", "64Mi", Usage::BLOCK).unwrap();
    let nqn = attach(cluster, "bystander-b", "b", &bystander);
    let disks = || cluster.device.control("GET", "/state", &Value::Null).unwrap()["disks"].clone();
    let before = disks();
    for (number, (id, says)) in [
        ("pvc-3f2504e0-4f89-41d3-9a0c-0305e82c3301", "there is no volume"),
        ("No Volume Of Ours!", "No Volume Of Ours!"),
        ("../../etc/passwd", "../../etc/passwd"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("foreign-{number}");
        let volume = persistent_volume(cluster, &name, id, |_| {});
        want(cluster, &name, "a", &volume);
        let error = attach_error(cluster, &name);
        eprintln!("{id}: {error}");
        assert!(error.contains("NotFound") && error.contains(says), "{error}");
        detach(cluster, &name);
    }
    assert_eq!(disks(), before);
    assert!(cluster.device.exports().unwrap().contains(&nqn));
    detach(cluster, "bystander-b");
}

#[test]
fn a_node_made_anew_under_its_name_loses_nothing_and_gets_a_new_generation_after_the_settle() {
    let cluster = cluster();
    let api = &cluster.control_plane;
    let old = cluster.add_node("twin").unwrap();
    let volume = cluster.provision("twins", "64Mi", Usage::BLOCK).unwrap();
    let first = attach(cluster, "twins-1", "twin", &volume);
    api.delete_node("twin").unwrap();
    // Its CSINode goes with it, later.
    cluster.admin().wait(&["--for=delete", "csinode/twin"], SOON).unwrap();
    let new = cluster.add_node("twin").unwrap();
    assert_ne!(old["metadata"]["uid"], new["metadata"]["uid"]);

    let again = cluster.pods[0].controller.csi.attach(&block_volume(&volume), "twin").unwrap_err();
    assert_eq!(again.code(), Code::Unavailable, "{again}");
    assert!(again.message().contains("was recreated while VolumeAttachment twins-1"), "{again}");
    assert!(cluster.device.exports().unwrap().contains(&first), "what stands was closed");

    let start = Instant::now();
    detach(cluster, "twins-1");
    assert!(!cluster.device.exports().unwrap().contains(&first));
    let second = attach(cluster, "twins-2", "twin", &volume);
    assert!(start.elapsed() >= SETTLE, "{:?}", start.elapsed());
    assert_ne!(first, second);
    detach(cluster, "twins-2");
}

#[test]
fn a_migration_timeout_out_of_bounds_makes_no_volume_and_an_edited_one_is_taken_to_the_nearer_end() {
    let cluster = cluster();
    let before = cluster.device.volumes().unwrap();
    for (class, seconds) in [("hasty", "29"), ("endless", "3601"), ("vague", "soon")] {
        let parameters = [("migrationTimeoutSeconds", seconds)];
        cluster.admin().create(&objects::storage_class(class, DRIVER, &parameters)).unwrap();
        cluster.admin().create(&objects::claim(class, class, "64Mi", Usage::SHARED_BLOCK)).unwrap();
        let api = &cluster.control_plane;
        let failed = api.wait_for_event("ProvisioningFailed", SOON, |event| event.name == class).unwrap();
        eprintln!("{class}: {}", failed.message);
        let says = |words: &str| failed.message.contains(words);
        assert!(says("InvalidArgument") && says("migrationTimeoutSeconds"), "{}", failed.message);
        api.kubectl(&["delete", "pvc", "-n", "default", class]).unwrap();
    }
    assert_eq!(cluster.device.volumes().unwrap(), before);

    for (name, seconds, served) in [("short", "5", 30), ("long", "99999", 3600)] {
        let (made, volume) = unclaimed(cluster, name, |volume| {
            volume["spec"]["csi"]["volumeAttributes"] = json!({ "migrationTimeoutSeconds": seconds });
        });
        attach(cluster, &format!("{name}-a"), "a", &volume);
        let id = &made.volume.volume_id;
        let said = "migrationTimeoutSeconds is out of 30 to 3600";
        wait_for_log(cluster, &format!("{said} slot={id} asked={seconds} served={served}"));
        detach(cluster, &format!("{name}-a"));
        cluster.pods[0].controller.csi.delete(id).unwrap();
    }
}

#[test]
fn a_node_that_says_nothing_of_itself_gets_a_volume_and_is_not_seen_to_let_go() {
    let cluster = cluster();
    let bare = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "bare" } });
    let bare = cluster.admin().create(&bare).unwrap();
    cluster.admin().create(&objects::csi_node(&bare, DRIVER, "rds:bare")).unwrap();
    let volume = cluster.provision("bare", "64Mi", Usage::BLOCK).unwrap();
    let first = attach(cluster, "bare-1", "bare", &volume);
    let start = Instant::now();
    detach(cluster, "bare-1");
    let second = attach(cluster, "bare-2", "b", &volume);
    assert!(start.elapsed() >= SETTLE, "{:?}", start.elapsed());
    assert_ne!(first, second);
    detach(cluster, "bare-2");
}

#[test]
fn an_attachment_of_a_volume_that_is_not_there_keeps_what_its_node_holds_and_no_other() {
    let cluster = cluster();
    let nowhere = json!({ "metadata": { "name": "no-such-volume" } });
    want(cluster, "mystery", "a", &nowhere);
    let [(on_a, nqn_a), (on_b, _)] = ["a", "b"].map(|node| {
        let name = format!("held-by-{node}");
        let volume = cluster.provision(&name, "64Mi", Usage::BLOCK).unwrap();
        let nqn = attach(cluster, &name, node, &volume);
        (claim(cluster, "default", &name), nqn)
    });
    // a's first: the reconciler meets it before the other.
    tear_off(cluster, "held-by-a");
    tear_off(cluster, "held-by-b");
    event_on(cluster, "StaleAttachmentCleared", "Normal", &on_b);
    assert!(cluster.device.exports().unwrap().contains(&nqn_a), "it may be what the mystery is of");
    let said = said_on(cluster, &on_a);
    assert!(said.iter().all(|(reason, _)| reason == "VolumeAttached"), "{said:?}");

    detach(cluster, "mystery");
    event_on(cluster, "StaleAttachmentCleared", "Normal", &on_a);
    assert!(!cluster.device.exports().unwrap().contains(&nqn_a));
}
