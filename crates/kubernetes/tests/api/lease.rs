//! The election on a real Lease, with shorter times.

use std::time::Duration;

use kubernetes::{Leader, LeaseName, Terms};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{DRIVER, NAMESPACE, client, control_plane, soon};

const TERMS: Terms = Terms {
    duration: Duration::from_secs(10),
    margin: Duration::from_millis(400),
    renew: Duration::from_secs(1),
    poll: Duration::from_millis(200),
    request: Duration::from_secs(2),
};

/// A Lease that nobody renews is over by then.
const OVER: Duration = Duration::from_secs(12);

async fn process(name: &str) -> Leader {
    // The only name that the role knows.
    let lease = LeaseName { namespace: NAMESPACE.to_owned(), name: DRIVER.to_owned() };
    Leader::start(client("rds-csi-controller").await, lease, name, TERMS)
}

async fn leads(process: &Leader, seconds: u64) {
    timeout(Duration::from_secs(seconds), process.elected()).await.unwrap();
    assert!(process.sends_until().is_some());
}

fn lease() -> serde_json::Value {
    control_plane().admin().get(&["lease", "-n", NAMESPACE, DRIVER]).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_contend_and_the_lease_goes_from_hand_to_hand() {
    let a = process("a").await;
    leads(&a, 20).await;
    let b = process("b").await;
    sleep(OVER).await;
    assert!(a.sends_until().is_some() && b.sends_until().is_none());
    assert_eq!(lease()["spec"]["holderIdentity"], a.identity());

    let term = a.term();
    a.release(soon()).await;
    leads(&b, TERMS.duration.as_secs() / 2).await;
    assert!(b.term() > term && a.sends_until().is_none());

    // Deleted by hand: its holder makes it again.
    control_plane().kubectl(&["delete", "lease", "-n", NAMESPACE, DRIVER]).unwrap();
    b.check_now();
    sleep(OVER).await;
    assert!(b.sends_until().is_some());
    assert_eq!(lease()["spec"]["holderIdentity"], b.identity());

    // Restored from a backup: its holder stops, and another goes on after it.
    let c = process("c").await;
    // It has read what it will be held to.
    sleep(OVER).await;
    let old = json!({"spec": {"holderIdentity": "of-old", "leaseTransitions": 0,
        "renewTime": "2099-01-01T00:00:00.000000Z"}});
    control_plane().admin().patch(&["lease", "-n", NAMESPACE, DRIVER], &old).unwrap();
    // By what it read: its own Lease would last longer.
    timeout(TERMS.duration / 2, b.lost().cancelled()).await.unwrap();
    let before = b.term();
    leads(&c, 20).await;
    assert!(c.term() > before.max(term));
    c.release(soon()).await;
    println!("{}", control_plane().kubectl(&["get", "lease", "-n", NAMESPACE, "-o", "yaml"]).unwrap());
}
