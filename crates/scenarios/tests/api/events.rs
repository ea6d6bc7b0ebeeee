//! Events of the controller (requirements R7 to R15), each caused on its real path and read back from the API server.

use std::sync::LazyLock;
use std::time::Duration;

use scenarios::{Cluster, ClusterOptions, NAMESPACE, STORAGE_CLASS};
use serde_json::{Value, json};
use testbed::objects::{self, Usage};
use testbed::wait_until;

use super::SOON;
use super::by_hand::{
    attach, attach_error, claim, detach, event_on, handle, line, said_on, sample, tear_off, text, want,
};
use crate::leadership_pair::{inject, release};

/// One for all: each test has its own claims, and the nodes a, b and c are there.
fn cluster() -> &'static Cluster {
    static SHARED: LazyLock<Cluster> = LazyLock::new(|| {
        let flags = ["--rwx-plain-pods", "--poll-interval=1s", "--attachment-grace-period=1s"];
        let controller = flags.map(str::to_owned).to_vec();
        let cluster = Cluster::start(&ClusterOptions { controller, ..ClusterOptions::default() }).unwrap();
        ["a", "b", "c"].iter().for_each(|node| drop(cluster.add_node(node).unwrap()));
        cluster
    });
    &SHARED
}

#[test]
fn r8_and_r9_an_attachment_and_its_end_are_said_with_node_and_duration() {
    let cluster = cluster();
    let volume = cluster.provision("kept", "64Mi", Usage::FILESYSTEM).unwrap();
    let (kept, id) = (claim(cluster, "default", "kept"), handle(&volume));
    attach(cluster, "kept-a", "a", &volume);
    let attached = event_on(cluster, "VolumeAttached", "Normal", &kept);
    let milliseconds = attached.message.strip_prefix(&format!("[{id}]: Attached to node a (duration: "));
    let milliseconds = milliseconds.and_then(|rest| rest.strip_suffix("ms)")).unwrap();
    assert!(milliseconds.parse::<u64>().unwrap() < 60_000, "{milliseconds}");
    detach(cluster, "kept-a");
    let detached = event_on(cluster, "VolumeDetached", "Normal", &kept);
    assert_eq!(detached.message, format!("[{id}]: Detached from node a"));
}

#[test]
fn r7_a_second_node_is_refused_and_repeats_are_one_series() {
    let cluster = cluster();
    let volume = cluster.provision("contested", "64Mi", Usage::BLOCK).unwrap();
    let (contested, id) = (claim(cluster, "default", "contested"), handle(&volume));
    let nqn = attach(cluster, "contested-a", "a", &volume);
    want(cluster, "contested-b", "b", &volume);
    let conflict = event_on(cluster, "AttachmentConflict", "Warning", &contested);
    let message = format!(
        "[{id}]: Attachment to node b rejected - volume already attached to node a. \
         Delete the pod on a to release the volume."
    );
    assert_eq!(conflict.message, message);
    assert!(attach_error(cluster, "contested-b").contains("already attached to node a"));

    let repeated = |event: &testbed::Event| event.uid == conflict.uid && event.times >= 3;
    let api = &cluster.control_plane;
    let series = api.wait_for_event("AttachmentConflict", SOON, repeated).unwrap();
    eprintln!("{} times: {}", series.times, line(cluster, "AttachmentConflict", &message).trim_end());
    let objects = api.events("AttachmentConflict").unwrap();
    assert_eq!(objects.iter().filter(|event| event.uid == conflict.uid).count(), 1);
    assert!(sample(cluster, "rds_csi_attachment_conflicts_total") >= series.times);
    assert!(cluster.device.exports().unwrap().contains(&nqn), "the holder's export was touched");
    detach(cluster, "contested-b");
    detach(cluster, "contested-a");
}

#[test]
fn r7_a_third_node_on_a_shared_block_volume_is_refused_for_both_that_have_it() {
    let cluster = cluster();
    let volume = cluster.provision("shared", "64Mi", Usage::SHARED_BLOCK).unwrap();
    let (shared, id) = (claim(cluster, "default", "shared"), handle(&volume));
    attach(cluster, "shared-a", "a", &volume);
    attach(cluster, "shared-b", "b", &volume);
    want(cluster, "shared-c", "c", &volume);
    let conflict = event_on(cluster, "AttachmentConflict", "Warning", &shared);
    let both = "a and b";
    assert_eq!(
        conflict.message,
        format!(
            "[{id}]: Attachment to node c rejected - volume already attached to node {both}. \
             Delete the pod on {both} to release the volume."
        )
    );
    ["shared-c", "shared-b", "shared-a"].iter().for_each(|name| detach(cluster, name));
}

#[test]
fn r10_what_a_deleted_node_left_behind_is_cleared_by_the_reconciler() {
    let cluster = cluster();
    let api = &cluster.control_plane;
    cluster.add_node("gone").unwrap();
    let volume = cluster.provision("orphan", "64Mi", Usage::BLOCK).unwrap();
    let (orphan, id) = (claim(cluster, "default", "orphan"), handle(&volume));
    let nqn = attach(cluster, "orphan-gone", "gone", &volume);
    api.delete_node("gone").unwrap();
    tear_off(cluster, "orphan-gone");
    let cleared = event_on(cluster, "StaleAttachmentCleared", "Normal", &orphan);
    assert_eq!(cleared.message, format!("[{id}]: Cleared stale attachment from deleted node gone"));
    assert!(!cluster.device.exports().unwrap().contains(&nqn));
    assert_eq!(sample(cluster, "rds_csi_attachment_stale_cleared_total"), 1);
}

#[test]
fn r12_the_controllers_pod_says_that_it_has_rebuilt_and_how_long_the_device_was_away() {
    let cluster = cluster();
    let pod = &cluster.pods[0];
    assert_eq!(pod.object["metadata"]["namespace"], NAMESPACE);
    let rebuilt = event_on(cluster, "StartupReconciliation", "Normal", &pod.object).message;
    let rest = rebuilt.strip_prefix("Rebuilt 0 attachments of 0 volumes in ").unwrap();
    let (_, rest) = rest.split_once("ms: ").unwrap();
    assert_eq!(rest, "0 stale cleared, 0 exports closed, 0 restored");

    let address = &cluster.device.target().management;
    cluster.device.process().kill();
    let lost = event_on(cluster, "RDSDisconnected", "Warning", &pod.object).message;
    assert!(lost.strip_prefix(&format!("Connection to {address} lost: ")).is_some_and(|why| !why.is_empty()));
    cluster.device.process().start().unwrap();
    let back = event_on(cluster, "RDSReconnected", "Normal", &pod.object).message;
    let seconds = back.strip_prefix(&format!("Connection to {address} restored after ")).unwrap();
    assert!(seconds.strip_suffix('s').unwrap().parse::<f64>().unwrap() > 0.0, "{back}");
    cluster.wait_for_leader().unwrap();
}

#[test]
fn r13_claims_of_one_name_in_two_namespaces_are_told_apart_by_the_volume() {
    let cluster = cluster();
    for namespace in ["apps", "spare"] {
        cluster.control_plane.add_namespace(namespace).unwrap();
        let mut object = objects::claim("data", STORAGE_CLASS, "64Mi", Usage::BLOCK);
        object["metadata"]["namespace"] = namespace.into();
        cluster.admin().create(&object).unwrap();
    }
    for (namespace, node) in [("apps", "a"), ("spare", "b")] {
        let bound = ["-n", namespace, "pvc/data", "--for=jsonpath={.status.phase}=Bound"];
        cluster.admin().wait(&bound, SOON).unwrap();
        let data = claim(cluster, namespace, "data");
        let volume = text(&data["spec"]["volumeName"]);
        let volume = cluster.admin().get(&["persistentvolume", &volume]).unwrap().unwrap();
        assert_ne!(volume["metadata"]["name"], volume["spec"]["csi"]["volumeHandle"]);
        attach(cluster, &format!("data-{namespace}"), node, &volume);
        let attached = event_on(cluster, "VolumeAttached", "Normal", &data);
        let begins = format!("[{}]: Attached to node {node} ", handle(&volume));
        assert!(attached.message.starts_with(&begins), "{}", attached.message);
        assert_eq!(said_on(cluster, &data).len(), 1);
        detach(cluster, &format!("data-{namespace}"));
    }
}

#[test]
fn r15_a_retry_that_succeeds_says_only_that_it_did_and_no_message_has_a_secret() {
    let cluster = cluster();
    let busy = json!({ "fail": { "status": 400, "detail": "failure: busy" } });
    for (name, fault) in [("refused-once", busy), ("unanswered-once", json!("drop-reply"))] {
        let volume = cluster.provision(name, "64Mi", Usage::BLOCK).unwrap();
        let object = claim(cluster, "default", name);
        let fault =
            json!({ "action": fault, "times": 1, "match": { "method": "PATCH", "path": "/rest/disk" } });
        cluster.device.control("POST", "/faults", &fault).unwrap();
        attach(cluster, &format!("{name}-a"), "a", &volume);
        assert!(failures(cluster, &handle(&volume)) >= 1, "the fault was not met");
        event_on(cluster, "VolumeAttached", "Normal", &object);
        let said = said_on(cluster, &object);
        assert_eq!(said.iter().map(|(reason, _)| reason.as_str()).collect::<Vec<_>>(), ["VolumeAttached"]);
        detach(cluster, &format!("{name}-a"));
    }
    no_secrets(cluster);
}

/// How often the driver's log says that attaching a volume failed.
fn failures(cluster: &Cluster, id: &str) -> usize {
    let doing = format!("attaching volume {id} to a");
    cluster.pods[0].controller.log().lines().filter(|line| line.contains(&doing)).count()
}

/// The device refuses the login until a message is about it; then all that was ever said is searched.
fn no_secrets(cluster: &Cluster) {
    let refused = json!({ "fail": { "status": 401, "detail": "Unauthorized" } });
    // Not once: a detach that still goes on, or the reading of the figures, could be what meets it.
    let fault = inject(cluster, &json!({ "action": refused }));
    let said = wait_until("the refused login is said", SOON, || {
        let events = cluster.control_plane.events("RDSDisconnected")?;
        Ok(events.into_iter().find(|event| event.message.contains("401") || event.message.contains("login")))
    })
    .unwrap();
    release(cluster, fault);
    eprintln!("{}", said.message);
    let password = cluster.device.login().1;
    let events: Value = cluster.admin().get(&["events", "-A"]).unwrap().unwrap();
    assert!(!events.to_string().contains(password));
    assert!(!cluster.pods[0].controller.log().contains(password));
    cluster.pods[0].controller.wait_until_ready(Duration::from_secs(60)).unwrap();
}
