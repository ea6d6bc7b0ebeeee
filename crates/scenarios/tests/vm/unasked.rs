//! What a node does unasked, and that Kubernetes hears of it: outages, stale mounts, orphans. What is not ours stays.

mod orphans;
mod stale;

use std::time::Duration;

use microvm::Kernel;
use scenarios::{ClusterOptions, GuestCluster, PodVolume};
use testbed::Event;
use testbed::objects::Usage;

use super::events::assert_is_of;
use super::pod;

/// Keep-alive notices a cut link after 8 s, which is said 10 s later; a reconnect takes up to 5 s. Guests are slow.
const PATH: Duration = Duration::from_secs(300);
/// What ships leaves orphans alone for five minutes.
const GRACE: &str = "10s";

/// On one kernel: a control plane with guests takes a minute, and what is said is no kernel's doing.
#[test]
fn what_a_node_finds_unasked_is_said_and_a_disk_of_the_same_box_that_is_not_ours_stays() {
    let options = ClusterOptions {
        node: ["--orphan-grace", GRACE].map(str::to_owned).into(),
        ..ClusterOptions::default()
    };
    let cluster = GuestCluster::boot(Kernel::V6_12, &["a"], &options).unwrap();
    cluster.provision("found", "64Mi", Usage::FILESYSTEM).unwrap();
    let volume = cluster.admit_pod("found", "a", "found").unwrap();

    let own = orphans::one_is_cut_once_the_api_server_answers_and_nothing_else_is(&cluster, &volume);
    an_outage_is_said_and_its_end(&cluster, &volume);
    stale::a_stale_mount_is_said_and_that_it_could_not_be_recovered(&cluster, &volume);
    stale::another_device_behind_the_nqn_is_said_and_the_next_pod_has_it(&cluster, &volume);
    own.assert_in_use(cluster.node("a"));
    for reason in
        ["OrphanDetected", "OrphanCleaned", "ConnectionRecovery", "StaleMountDetected", "RecoveryFailed"]
    {
        eprint!("{}", cluster.control_plane.event_lines(reason).unwrap());
    }
}

fn an_outage_is_said_and_its_end(cluster: &GuestCluster, volume: &PodVolume) {
    pod::retried("mounted", || cluster.kubelet("a").mount(volume));
    let link = cluster.rds.guest.link();
    link.cut();
    let lost = wait_for(cluster, "ConnectionFailure", "found");
    assert!(lost.message.contains("failed: it was lost"), "{lost:?}");
    link.restore();
    let back = wait_for(cluster, "ConnectionRecovery", "found");
    let (id, address) = (&volume.made.volume.volume_id, cluster.rds.data_address());
    let start = format!("[{id}] on [a]: Connection to {address} recovered after ");
    assert!(back.message.starts_with(&start) && back.message.ends_with(" attempts"), "{back:?}");
    assert_is_of(cluster, &lost, "Warning", "found");
    assert_is_of(cluster, &back, "Normal", "found");
}

fn wait_for(cluster: &GuestCluster, reason: &str, of: &str) -> Event {
    wait_for_word(cluster, reason, of, "")
}

/// Waits for an event that says `word`.
fn wait_for_word(cluster: &GuestCluster, reason: &str, of: &str, word: &str) -> Event {
    let wanted = |event: &Event| event.name == of && event.message.contains(word);
    let event = cluster.control_plane.wait_for_event(reason, PATH, wanted);
    event.unwrap_or_else(|error| panic!("{error}\n{}", cluster.node("a").log()))
}
