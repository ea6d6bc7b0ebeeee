//! The annotations of a PersistentVolume that mirror its attachment for people (requirements R21).

use scenarios::{Cluster, ClusterOptions};
use serde_json::{Value, json};
use testbed::objects::Usage;
use testbed::wait_until;

use super::by_hand::{attach, block_volume, detach, text};
use super::{SOON, rights};

const NODE: &str = "rds.csi.srvlab.io/attached-node";
const AT: &str = "rds.csi.srvlab.io/attached-at";

/// Waits until the annotations of a volume are so; answers when it was attached.
fn wait_for_node(cluster: &Cluster, volume: &Value, node: Option<&str>) -> Option<String> {
    let name = text(&volume["metadata"]["name"]);
    wait_until(&format!("{name} annotated with {node:?}"), SOON, || {
        let volume = cluster.admin().get(&["persistentvolume", &name])?.unwrap_or_default();
        let [shown, at] = [NODE, AT].map(|key| volume["metadata"]["annotations"][key].as_str());
        Ok((shown == node && at.is_some() == node.is_some()).then(|| at.map(str::to_owned)))
    })
    .unwrap()
}

/// Seconds since 1970, as `date` reads a time.
#[expect(clippy::disallowed_methods, reason = "tests: another reader of RFC 3339 than the writer's own")]
fn seconds(at: &str) -> i64 {
    let date = std::process::Command::new("date").args(["-u", "+%s", "-d", at]).output().unwrap();
    assert!(date.status.success(), "{at}: {date:?}");
    String::from_utf8(date.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn r21_the_annotations_follow_the_attachment_and_nothing_follows_them() {
    let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
    ["a", "b"].iter().for_each(|node| drop(cluster.add_node(node).unwrap()));
    let volume = cluster.provision("data", "64Mi", Usage::BLOCK).unwrap();
    let name = text(&volume["metadata"]["name"]);

    let before = seconds("now");
    let nqn = attach(&cluster, "data-a", "a", &volume);
    let at = wait_for_node(&cluster, &volume, Some("a")).unwrap();
    eprintln!("{NODE}=a {AT}={at}");
    // RFC 3339, of whole seconds, in UTC.
    let form: String = at.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(form, "0000-00-00T00:00:00Z");
    assert!((before..=seconds("now")).contains(&seconds(&at)), "{at}");

    let nonsense = json!({ "metadata": { "annotations": { NODE: "../b\u{1f4a5}", AT: "yesterday" } } });
    cluster.admin().patch(&["persistentvolume", &name], &nonsense).unwrap();
    let pod = &cluster.pods[0];
    pod.restart().unwrap();
    cluster.wait_for_leader().unwrap();
    assert_eq!(cluster.device.exports().unwrap(), [nqn.as_str()]);
    let again = pod.controller.csi.attach(&block_volume(&volume), "a").unwrap();
    assert_eq!(again.context["nvme_nqn"], nqn, "the holder has what it had");
    let refused = pod.controller.csi.attach(&block_volume(&volume), "b").unwrap_err();
    assert!(refused.message().contains("already attached to node a"), "{refused}");

    detach(&cluster, "data-a");
    assert_eq!(cluster.device.exports().unwrap(), [""; 0]);
    wait_for_node(&cluster, &volume, None);
    attach(&cluster, "data-b", "b", &volume);
    wait_for_node(&cluster, &volume, Some("b"));
}

#[test]
fn r21_an_attachment_does_not_need_the_right_to_annotate() {
    let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
    cluster.add_node("a").unwrap();
    let volume = cluster.provision("data", "64Mi", Usage::BLOCK).unwrap();
    let pod = &cluster.pods[0];
    // The attacher could set no finalizer without it: the calls come past it.
    let taken = rights::take(&cluster, "persistentvolumes", "patch");
    let made = block_volume(&volume);
    let attached = pod.controller.csi.attach(&made, "a").unwrap();
    assert_eq!(cluster.device.exports().unwrap(), [attached.context["nvme_nqn"].as_str()]);
    pod.wait_for_log("annotating PersistentVolumes fails", SOON).unwrap();
    pod.controller.csi.detach(&made, "a").unwrap();
    assert_eq!(cluster.device.exports().unwrap(), [""; 0]);

    taken.give_back(&cluster);
    attach(&cluster, "data-a", "a", &volume);
    wait_for_node(&cluster, &volume, Some("a"));
    pod.wait_for_log("annotating PersistentVolumes works again", SOON).unwrap();
}
