//! Records on the device that are damaged, foreign, or edited by a person, while a node has the volume (issue 4,
//! "Bad input").

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use data_encoding::BASE64;
use scenarios::{CLUSTER_ID, Cluster, ClusterOptions};
use serde_json::{Value, json};
use testbed::objects::Usage;
use testbed::{free_ports, wait_until};
use tonic::Code;
use volume::{ClusterId, NodeId, NodeRef, Record};

use super::SOON;
use super::by_hand::{attach, block_volume, detach, handle, text};

/// A cluster, and the port at which a person reaches its device.
struct World {
    cluster: Cluster,
    port: u16,
}

impl World {
    fn start() -> Self {
        let [port] = free_ports([127, 0, 0, 1].into()).unwrap();
        let simulator = vec![format!("--http=127.0.0.1:{port}")];
        let flags = ["--attachment-grace-period=1s", "--attachment-reconcile-interval=2s"];
        let controller = flags.map(str::to_owned).to_vec();
        let cluster =
            Cluster::start(&ClusterOptions { controller, simulator, ..ClusterOptions::default() }).unwrap();
        ["a", "b"].iter().for_each(|node| drop(cluster.add_node(node).unwrap()));
        Self { cluster, port }
    }

    fn disk(&self, slot: &str) -> Value {
        let state = self.cluster.device.control("GET", "/state", &Value::Null).unwrap();
        state["disks"].as_array().unwrap().iter().find(|disk| disk["slot"] == slot).unwrap().clone()
    }

    fn comment(&self, slot: &str) -> String {
        text(&self.disk(slot)["comment"])
    }

    /// Sets a disk's comment by the device's own interface.
    fn edit(&self, slot: &str, comment: &str) {
        let (user, password) = self.cluster.device.login();
        let login = BASE64.encode(format!("{user}:{password}").as_bytes());
        let body = json!({ "comment": comment }).to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "PATCH /rest/disk/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Basic {login}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            text(&self.disk(slot)[".id"]),
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(self.comment(slot), comment);
    }
}

/// The record of a disk that is whole, changed and written as the driver would.
fn changed(comment: &str, change: impl FnOnce(&mut Record)) -> String {
    let mut record = Record::parse(comment).unwrap().unwrap();
    change(&mut record);
    record.to_comment().unwrap()
}

fn foreign(comment: &str) -> String {
    changed(comment, |record| record.cluster = ClusterId::parse("somebody-else").unwrap().hash())
}

/// One hexadecimal digit of the checksum is another one.
fn damaged(comment: &str) -> String {
    let (rest, last) = comment.split_at(comment.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

/// What is done to a record: what of, how, and what is said of it.
type Edit = (&'static str, fn(&str) -> String, &'static str);

const EDITS: [Edit; 4] = [
    (
        "damaged",
        damaged,
        "is damaged; once no node has it connected, repair it on the device with: /disk set",
    ),
    ("foreign", foreign, "belongs to cluster"),
    ("newer", |comment| comment.replacen("rds1", "rds9", 1), "use the version of this driver that wrote it"),
    ("a-persons", |_| "bob's, please keep".to_owned(), "carries no record of this driver"),
];

#[test]
fn a_record_that_cannot_be_used_locks_its_volume_only_and_closes_nothing() {
    let world = World::start();
    let (cluster, pod) = (&world.cluster, &world.cluster.pods[0]);
    let csi = &pod.controller.csi;
    let volumes: Vec<_> = EDITS
        .iter()
        .map(|(name, edit, _)| {
            let volume = cluster.provision(name, "64Mi", Usage::BLOCK).unwrap();
            let nqn = attach(cluster, name, "a", &volume);
            let before = world.comment(&handle(&volume));
            world.edit(&handle(&volume), &edit(&before));
            (volume, nqn, before)
        })
        .collect();
    let exports = cluster.device.exports().unwrap();

    pod.restart().unwrap();
    cluster.wait_for_leader().unwrap();
    for ((name, edit, says), (volume, _, before)) in EDITS.iter().zip(&volumes) {
        let (made, id) = (block_volume(volume), handle(volume));
        let refusals = [
            csi.attach(&made, "a").map(drop).unwrap_err(),
            csi.attach(&made, "b").map(drop).unwrap_err(),
            csi.detach(&made, "a").unwrap_err(),
            csi.delete(&id).unwrap_err(),
        ];
        eprintln!("{name}: {}", refusals[0].message());
        for refusal in refusals {
            assert_eq!(refusal.code(), Code::FailedPrecondition, "{name}: {refusal}");
            assert!(refusal.message().contains(says), "{name}: {refusal}");
        }
        assert_eq!(world.comment(&id), edit(before), "{name}: it was written over");
        pod.wait_for_log(says, SOON).unwrap();
    }
    // The volume beside them is served.
    let beside = cluster.provision("beside", "64Mi", Usage::BLOCK).unwrap();
    attach(cluster, "beside", "b", &beside);
    detach(cluster, "beside");
    assert_eq!(cluster.device.exports().unwrap(), exports);

    for ((name, ..), (volume, nqn, before)) in EDITS.iter().zip(&volumes) {
        world.edit(&handle(volume), before);
        let again = csi.attach(&block_volume(volume), "a").unwrap();
        assert_eq!(again.context["nvme_nqn"], *nqn, "{name}: repaired, the holder has what it had");
        detach(cluster, name);
    }
    assert_eq!(cluster.device.exports().unwrap(), [""; 0]);
}

#[test]
fn a_holder_that_a_person_wrote_is_put_right_and_the_one_that_has_the_volume_keeps_it() {
    let world = World::start();
    let cluster = &world.cluster;
    let volume = cluster.provision("data", "64Mi", Usage::BLOCK).unwrap();
    let nqn = attach(cluster, "data", "a", &volume);
    let id = handle(&volume);
    let before = Record::parse(&world.comment(&id)).unwrap().unwrap();
    assert_eq!(before.cluster, ClusterId::parse(CLUSTER_ID).unwrap().hash());
    let other = NodeRef::new(&NodeId::of_node("b").unwrap(), None);
    world.edit(&id, &changed(&world.comment(&id), |record| record.holders = vec![other]));

    wait_until("the record names who has the volume", SOON, || {
        let record = Record::parse(&world.comment(&id)).ok().flatten();
        Ok(record.is_some_and(|record| record.holders == before.holders).then_some(()))
    })
    .unwrap();
    let after = Record::parse(&world.comment(&id)).unwrap().unwrap();
    assert_eq!(after.generation, before.generation);
    assert_eq!(cluster.device.exports().unwrap(), [nqn.as_str()]);
    detach(cluster, "data");
    assert_eq!(cluster.device.exports().unwrap(), [""; 0]);
}
