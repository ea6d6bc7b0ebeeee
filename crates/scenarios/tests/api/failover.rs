//! Two controllers, one Lease: who leads serves, and when it is gone the other does.

use std::time::{Duration, Instant};

use scenarios::{Cluster, ClusterOptions};
use testbed::objects::Usage;

use super::SOON;

/// Where the device serves a user's requests in order, with the Lease that ships (15 s).
const TAKE_OVER: Duration = Duration::from_secs(30);

#[test]
fn when_the_leaders_pod_is_killed_the_other_provisions_and_attaches() {
    let options = ClusterOptions { replicas: 2, lease: "15s", ..ClusterOptions::default() };
    let cluster = Cluster::start(&options).unwrap();
    cluster.add_node("a").unwrap();
    cluster.provision("before", "64Mi", Usage::BLOCK).unwrap();
    let leader = cluster.leader().unwrap();
    let ready = cluster.pods.iter().filter(|pod| pod.controller.is_ready()).count();
    assert_eq!(ready, 1, "two lead");

    leader.kill();
    let killed = Instant::now();
    cluster.admin().create(&testbed::objects::block_pod("user", None, &["before"])).unwrap();
    cluster.provision("after", "64Mi", Usage::BLOCK).unwrap();
    let took = killed.elapsed();
    let before = cluster.control_plane.wait_until_bound("before", SOON).unwrap();
    cluster.control_plane.wait_until_attached(&before, "a", SOON).unwrap();
    eprintln!("provisioned {took:.1?} and attached {:.1?} after the leader's end", killed.elapsed());
    assert!(took < TAKE_OVER, "{took:?}");
    assert_ne!(cluster.leader().unwrap().object["metadata"]["name"], leader.object["metadata"]["name"]);
}
