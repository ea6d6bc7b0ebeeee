//! What a node says through Events, and that an API server which does not hear it holds nothing up.

use std::time::{Duration, Instant};

use microvm::Kernel;
use scenarios::{ClusterOptions, GuestCluster, NAMESPACE, PodVolume};
use testbed::Event;
use testbed::objects::Usage;

use super::pod;

/// The reporting controller of a node's events, and its service account.
const COMPONENT: &str = "rds-csi-node";
/// A call that waited for an API server that hangs would wait for a request's 5 s at least, and for its repeats.
const NO_WAIT: Duration = Duration::from_secs(5);

/// On one kernel: what is said, and to whom, is no kernel's doing, and a control plane with guests takes a minute.
#[test]
fn failures_on_a_node_are_events_of_the_claim_and_nobody_waits_for_them() {
    let kernel = Kernel::V6_12;
    let start = Instant::now();
    let cluster = GuestCluster::boot(kernel, &["a"], &ClusterOptions::default()).unwrap();
    eprintln!("booted a cluster with an RDS and a node on {} in {:.1?}", kernel.version(), start.elapsed());

    let plain = start_pod(&cluster, "plain");
    let usual = a_cut_link_is_a_connection_failure(&cluster, &plain);
    let foreign = data_that_is_no_file_system_is_a_mount_failure(&cluster);
    // The queue is in order: what was posted of the first claim since its failure would be there by now.
    assert_eq!(said_of(&cluster, "plain"), ["ConnectionFailure x1"], "the retry that succeeded said nothing");

    unmount(&cluster, &foreign);
    an_api_server_that_hangs_or_is_stopped_delays_no_call(&cluster, &plain, usual);
    assert_eq!(
        said_of(&cluster, "plain"),
        ["ConnectionFailure x2"],
        "the repeat is one series with the first"
    );
    assert_eq!(said_of(&cluster, "foreign"), ["MountFailure x1"], "nor did that one's retry");
    rights_are_those_of_the_manifest(&cluster);
    for reason in ["ConnectionFailure", "MountFailure"] {
        eprint!("{}", cluster.control_plane.event_lines(reason).unwrap());
    }
}

/// A claim, and a pod on node a whose volume is attached.
fn start_pod(cluster: &GuestCluster, claim: &str) -> PodVolume {
    cluster.provision(claim, "64Mi", Usage::FILESYSTEM).unwrap();
    cluster.admit_pod(claim, "a", claim).unwrap()
}

/// Answers how long the failure took.
fn a_cut_link_is_a_connection_failure(cluster: &GuestCluster, volume: &PodVolume) -> Duration {
    let took = fail_without_link(cluster, volume);
    let event = wait_for(cluster, "ConnectionFailure", "plain", 1);
    let (id, address) = (&volume.made.volume.volume_id, cluster.rds.data_address());
    let start = format!("[{id}] on [a]: Connection to {address} failed: ");
    assert!(event.message.starts_with(&start) && event.message.contains("does not answer"), "{event:?}");
    assert_is_of(cluster, &event, "Warning", "plain");
    mount(cluster, volume);
    took
}

fn data_that_is_no_file_system_is_a_mount_failure(cluster: &GuestCluster) -> PodVolume {
    let volume = start_pod(cluster, "foreign");
    let id = &volume.made.volume.volume_id;
    write_into(cluster, id, "yes somebodys-data");
    cluster.kubelet("a").mount(&volume).unwrap_err();
    let event = wait_for(cluster, "MountFailure", "foreign", 1);
    assert!(event.message.starts_with(&format!("[{id}] on [a]: ")), "{event:?}");
    let what = "is not formatted and not mounted: it holds data";
    assert!(event.message.contains("/dev/nvme") && event.message.contains(what), "{event:?}");
    assert_is_of(cluster, &event, "Warning", "foreign");
    write_into(cluster, id, "cat /dev/zero");
    mount(cluster, &volume);
    volume
}

fn an_api_server_that_hangs_or_is_stopped_delays_no_call(
    cluster: &GuestCluster,
    volume: &PodVolume,
    usual_failure: Duration,
) {
    let timed = || {
        let start = Instant::now();
        mount(cluster, volume);
        let took = start.elapsed();
        unmount(cluster, volume);
        took
    };
    unmount(cluster, volume);
    let usual = timed();
    // One that waits for the API server waits each time; a guest may stand still once.
    let quick = |took: &Duration| *took < usual + NO_WAIT;
    let tried = || (0..3).map(|_| timed()).find(quick);
    cluster.nodes_api.freeze();
    let hanging = tried();
    cluster.nodes_api.restore();
    cluster.control_plane.stop_api_server();
    let stopped = tried();
    let failing = fail_without_link(cluster, volume);
    eprintln!(
        "mounted in {usual:.1?}; API server hanging: {hanging:.1?}, stopped: {stopped:.1?}, a failure: {failing:.1?}, after {usual_failure:.1?}"
    );
    assert!(hanging.is_some() && stopped.is_some(), "each of three mounts took {NO_WAIT:?} longer");
    // Once only, since it is counted.
    assert!(failing < usual_failure + NO_WAIT);
    cluster.control_plane.start_api_server().unwrap();
    wait_for(cluster, "ConnectionFailure", "plain", 2);
}

/// As the kubelet does it: tried again after every code that is not final.
fn mount(cluster: &GuestCluster, volume: &PodVolume) {
    pod::retried("mounted", || cluster.kubelet("a").mount(volume));
}

/// As [`mount`].
fn unmount(cluster: &GuestCluster, volume: &PodVolume) {
    pod::retried("unmounted", || cluster.kubelet("a").unmount(volume));
}

/// Tries to mount over a data link of the RDS that is cut; answers how long that took.
fn fail_without_link(cluster: &GuestCluster, volume: &PodVolume) -> Duration {
    let link = cluster.rds.guest.link();
    link.cut();
    // Where the address was known the first packets would be waited for in another way: all tries fail alike.
    cluster.node("a").guest.sh("ip neigh flush dev data").unwrap();
    let start = Instant::now();
    let refused = cluster.kubelet("a").mount(volume).unwrap_err();
    let took = start.elapsed();
    link.restore();
    assert!(refused.to_string().contains("does not answer"), "{refused}");
    took
}

/// Writes what a command prints over the start of a volume's image, past the driver.
fn write_into(cluster: &GuestCluster, volume: &str, command: &str) {
    let images = cluster.rds.images().unwrap();
    let image = images.iter().find(|image| image.contains(volume)).unwrap();
    let write = "dd bs=1M count=1 iflag=fullblock conv=notrunc,fsync";
    cluster.rds.guest.sh(&format!("{command} | {write} of={image} 2>/dev/null")).unwrap();
}

fn wait_for(cluster: &GuestCluster, reason: &str, claim: &str, times: u64) -> Event {
    let wanted = |event: &Event| event.name == claim && event.times == times;
    let event = cluster.control_plane.wait_for_event(reason, GuestCluster::SOON, wanted);
    event.unwrap_or_else(|error| {
        let counted = cluster.node("a").guest.sh("wget -q -O - http://127.0.0.1:9809/metrics | grep events");
        panic!("{error}\n{counted:?}\n{}", cluster.node("a").log())
    })
}

/// Type, component and object are those of requirements R1, R4 and R14.
pub(crate) fn assert_is_of(cluster: &GuestCluster, event: &Event, of_level: &str, claim: &str) {
    let object = cluster.control_plane.admin().get(&["pvc", "-n", "default", claim]).unwrap().unwrap();
    let uid = object["metadata"]["uid"].as_str().unwrap();
    let Event { level, component, instance, kind, name, uid: of, namespace, .. } = event;
    assert_eq!((level.as_str(), component.as_str(), instance.as_str()), (of_level, COMPONENT, "a"));
    let object = (kind.as_str(), namespace.as_str(), name.as_str(), of.as_str());
    assert_eq!(object, ("PersistentVolumeClaim", "default", claim, uid));
}

/// What the node has said of a claim.
fn said_of(cluster: &GuestCluster, claim: &str) -> Vec<String> {
    let said =
        ["ConnectionFailure", "MountFailure"].map(|reason| cluster.control_plane.events(reason).unwrap());
    let said = said.into_iter().flatten().filter(|event| event.name == claim && event.component == COMPONENT);
    said.map(|event| format!("{} x{}", event.reason, event.times)).collect()
}

/// All of the above was done with these rights.
fn rights_are_those_of_the_manifest(cluster: &GuestCluster) {
    let api = &cluster.control_plane;
    let account = api.kubeconfig_of_service_account(NAMESPACE, COMPONENT, api.address()).unwrap();
    let node = api.admin().with_kubeconfig(&account);
    for (may, what) in [
        (true, ["create", "events.events.k8s.io"]),
        (true, ["patch", "events.events.k8s.io"]),
        (true, ["get", "volumeattachments"]),
        (false, ["list", "volumeattachments"]),
        (false, ["get", "persistentvolumes"]),
        (false, ["get", "nodes"]),
        (false, ["get", "secrets"]),
    ] {
        let [verb, resource] = what;
        assert_eq!(node.run(&["auth", "can-i", verb, resource, "-n", "default"]).is_ok(), may, "{what:?}");
    }
}
