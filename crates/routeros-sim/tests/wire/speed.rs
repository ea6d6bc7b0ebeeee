//! The simulator must not be what a benchmark measures.

use std::time::{Duration, Instant};

use routeros_sim::{Config, Simulator};

use crate::client::Client;

/// The bench lists 10,000 volumes within a second with an optimised client: an unoptimised simulator that takes
/// longer than this has grown a quadratic.
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn ten_thousand_disks_are_listed_and_one_is_found_among_them() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    for number in 0..10_000 {
        let (slot, path) = (format!("csi-{number}"), format!("raid10/csi-{number}.img"));
        let row = [("slot", slot.as_str()), ("file-path", &path), ("file-size", "1048576")];
        simulator.handle().seed_disk(&row).unwrap();
    }
    let mut client = Client::connect(&simulator).await;
    let start = Instant::now();
    assert_eq!(client.get("/rest/disk").await.body.as_array().unwrap().len(), 10_001);
    assert_eq!(client.get("/rest/disk?slot=csi-9999").await.body.as_array().unwrap().len(), 1);
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
}
