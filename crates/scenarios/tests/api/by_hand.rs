//! What a person does with kubectl, or a test in the place of the attach/detach controller.

use csi_grpc::v1::Volume;
use scenarios::{Cluster, DRIVER, Made, Shape};
use serde_json::{Value, json};
use testbed::{Event, objects, refusal, wait_until};

use super::SOON;

/// Makes a VolumeAttachment that no pod asks for; the attacher sees to it.
pub(crate) fn want(cluster: &Cluster, name: &str, node: &str, volume: &Value) {
    let volume = text(&volume["metadata"]["name"]);
    cluster.admin().create(&objects::volume_attachment(name, DRIVER, node, &volume)).unwrap();
}

/// As [`want`], and waits until it says attached; answers the NQN that it hands over.
pub(crate) fn attach(cluster: &Cluster, name: &str, node: &str, volume: &Value) -> String {
    want(cluster, name, node, volume);
    let volume = text(&volume["metadata"]["name"]);
    let attached = cluster.control_plane.wait_until_attached(&volume, node, SOON).unwrap();
    text(&attached["status"]["attachmentMetadata"]["nvme_nqn"])
}

/// Deletes a VolumeAttachment and waits until the attacher let it go.
pub(crate) fn detach(cluster: &Cluster, name: &str) {
    let timeout = format!("--timeout={}s", SOON.as_secs());
    cluster.control_plane.kubectl(&["delete", "volumeattachment", name, &timeout]).unwrap();
}

/// Why the attacher could not attach, as the VolumeAttachment says.
pub(crate) fn attach_error(cluster: &Cluster, name: &str) -> String {
    wait_until(&format!("{name} says why it is not attached"), SOON, || {
        Ok(refusal(&cluster.admin().get(&["volumeattachment", name])?.unwrap_or_default()))
    })
    .unwrap()
}

/// Tears a VolumeAttachment off while no attacher runs, as somebody does who removes its finalizers.
pub(crate) fn tear_off(cluster: &Cluster, name: &str) {
    let attacher = &cluster.pods[0].sidecars.attacher;
    attacher.kill();
    cluster.control_plane.kubectl(&["delete", "volumeattachment", name, "--wait=false"]).unwrap();
    let none = json!({ "metadata": { "finalizers": null } });
    cluster.admin().patch(&["volumeattachment", name], &none).unwrap();
    attacher.start().unwrap();
}

/// The volume of a PersistentVolume, for calls past the sidecars.
pub(crate) fn block_volume(volume: &Value) -> Made {
    let context = volume["spec"]["csi"]["volumeAttributes"].as_object().into_iter().flatten();
    let volume = Volume {
        volume_id: handle(volume),
        volume_context: context.map(|(key, value)| (key.clone(), text(value))).collect(),
        ..Volume::default()
    };
    Made { volume, shape: Shape::block() }
}

/// The id of a PersistentVolume's volume.
pub(crate) fn handle(volume: &Value) -> String {
    text(&volume["spec"]["csi"]["volumeHandle"])
}

/// The claim of that name.
pub(crate) fn claim(cluster: &Cluster, namespace: &str, name: &str) -> Value {
    cluster.admin().get(&["pvc", "-n", namespace, name]).unwrap().unwrap()
}

/// Waits for an event on an object, and holds it against what requirements.md has of all of them (R14).
pub(crate) fn event_on(cluster: &Cluster, reason: &str, level: &str, object: &Value) -> Event {
    let api = &cluster.control_plane;
    let uid = text(&object["metadata"]["uid"]);
    let event = api.wait_for_event(reason, SOON, |event| event.uid == uid).unwrap();
    let named = [&event.level, &event.kind, &event.namespace, &event.name, &event.component, &event.instance];
    let [namespace, name] = ["namespace", "name"].map(|field| text(&object["metadata"][field]));
    let kind = text(&object["kind"]);
    assert_eq!(
        named.map(String::as_str),
        [level, &kind, &namespace, &name, "rds-csi-controller", "rds-csi-controller-0"]
    );
    eprint!("{}", line(cluster, reason, &event.message));
    event
}

/// What `kubectl get events` prints of the event with that message.
pub(crate) fn line(cluster: &Cluster, reason: &str, message: &str) -> String {
    let lines = cluster.control_plane.event_lines(reason).unwrap();
    lines.lines().filter(|line| line.contains(message)).map(|line| format!("{line}\n")).collect()
}

/// Reason and message of every event that the driver has posted on an object.
pub(crate) fn said_on(cluster: &Cluster, object: &Value) -> Vec<(String, String)> {
    let all = cluster.admin().get(&["events", "-A"]).unwrap().unwrap_or_default();
    let items = all["items"].as_array().cloned().unwrap_or_default();
    let ours = items.iter().filter(|event| {
        event["reportingComponent"] == "rds-csi-controller"
            && event["involvedObject"]["uid"] == object["metadata"]["uid"]
    });
    ours.map(|event| (text(&event["reason"]), text(&event["message"]))).collect()
}

/// A sample of the controller's metrics; 0 where a counter was never moved.
pub(crate) fn sample(cluster: &Cluster, series: &str) -> u64 {
    let text = cluster.pods[0].scrape().unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
