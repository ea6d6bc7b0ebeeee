//! From a claim to an attachment, through both sidecars.

use std::time::Duration;

use scenarios::{Cluster, ClusterOptions, DRIVER};
use testbed::objects::{self, Usage};

/// A sidecar acts within a second; what settles takes five; a busy machine gets many times that.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_claim_is_provisioned_attached_where_its_pod_is_detached_and_deleted() {
    let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
    let api = &cluster.control_plane;
    cluster.add_node("a").unwrap();

    let volume = cluster.provision("data", "64Mi", Usage::FILESYSTEM).unwrap();
    assert_eq!(volume["spec"]["csi"]["driver"], DRIVER);
    let name = volume["metadata"]["name"].as_str().unwrap();
    assert_eq!(cluster.device.volumes().unwrap(), [volume["spec"]["csi"]["volumeHandle"].as_str().unwrap()]);

    cluster.admin().create(&objects::pod("user", None, &["data"])).unwrap();
    let attachment = api.wait_until_attached(name, "a", SOON).unwrap();
    let nqn = attachment["status"]["attachmentMetadata"]["nvme_nqn"].as_str().unwrap();
    assert_eq!(cluster.device.exports().unwrap(), [nqn]);

    api.delete_pod("user").unwrap();
    api.wait_until_detached(name, "a", SOON).unwrap();
    assert_eq!(cluster.device.exports().unwrap(), [""; 0]);

    api.kubectl(&["delete", "pvc", "-n", "default", "data"]).unwrap();
    api.admin().wait(&["--for=delete", &format!("pv/{name}")], SOON).unwrap();
    assert_eq!(cluster.device.volumes().unwrap(), [""; 0]);
}
