//! From a claim to an attachment, through both sidecars.

use scenarios::{Cluster, ClusterOptions, DRIVER, STORAGE_CLASS};
use testbed::objects::{self, Usage};

use super::SOON;

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

    let attached = api.wait_for_event("VolumeAttached", SOON, |event| event.name == "data").unwrap();
    assert_eq!((attached.kind.as_str(), attached.namespace.as_str()), ("PersistentVolumeClaim", "default"));
    assert_eq!((attached.level.as_str(), attached.component.as_str()), ("Normal", "rds-csi-controller"));
    assert_eq!(attached.instance, "rds-csi-controller-0");

    api.delete_pod("user").unwrap();
    api.wait_until_detached(name, "a", SOON).unwrap();
    assert_eq!(cluster.device.exports().unwrap(), [""; 0]);

    api.wait_for_event("VolumeDetached", SOON, |event| event.name == "data").unwrap();
    print!("{}{}", api.event_lines("VolumeAttached").unwrap(), api.event_lines("VolumeDetached").unwrap());

    api.kubectl(&["delete", "pvc", "-n", "default", "data"]).unwrap();
    api.admin().wait(&["--for=delete", &format!("pv/{name}")], SOON).unwrap();
    assert_eq!(cluster.device.volumes().unwrap(), [""; 0]);

    // With exactly the rights of the manifests: what a sidecar may not do, it says in its log.
    for sidecar in [&cluster.pods[0].sidecars.provisioner, &cluster.pods[0].sidecars.attacher] {
        assert!(sidecar.is_running());
        let log = sidecar.log();
        let refused: Vec<_> = log.lines().filter(|line| line.contains("forbidden")).collect();
        assert_eq!(refused, [""; 0]);
    }
}

#[test]
fn what_was_asked_for_while_the_pod_was_gone_is_done_when_it_is_back() {
    let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
    let (api, pod) = (&cluster.control_plane, &cluster.pods[0]);
    cluster.add_node("a").unwrap();
    pod.kill();
    cluster.admin().create(&objects::claim("data", STORAGE_CLASS, "64Mi", Usage::BLOCK)).unwrap();
    cluster.admin().create(&objects::block_pod("user", None, &["data"])).unwrap();
    // Nobody answers: the scheduler says that the claim is waited for.
    api.wait_for_event("FailedScheduling", SOON, |event| event.name == "user").unwrap();
    assert_eq!(cluster.device.volumes().unwrap(), [""; 0]);

    pod.restart().unwrap();
    let name = api.wait_until_bound("data", SOON).unwrap();
    api.wait_until_attached(&name, "a", SOON).unwrap();
    assert_eq!(cluster.device.exports().unwrap().len(), 1);
}
