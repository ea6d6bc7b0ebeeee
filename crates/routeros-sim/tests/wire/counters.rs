//! What disks have read and written, and the sensors: as rows and by `monitor-traffic`.

use routeros_sim::control::Control;
use routeros_sim::{Config, Simulator, Traffic};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::client::Client;

const SOME: Traffic = Traffic {
    read_ops: 10,
    read_bytes: 40_960,
    read_millis: 48_149,
    write_ops: 4,
    write_bytes: 16_384,
    write_millis: 3,
    in_flight_ops: 2,
    active_millis: 1_000,
    wait_millis: 50_000,
};

async fn simulator() -> (Simulator, Client, String) {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    let id = client.add("v").await;
    client.add("w").await;
    simulator.handle().add_traffic("v", &SOME).unwrap();
    (simulator, client, id)
}

async fn named(client: &mut Client) -> Value {
    client.get("/rest/disk?slot=v&.proplist=read-ops,read-time,wait-time,in-flight-ops").await.body[0].clone()
}

async fn sampled(client: &mut Client, numbers: &str) -> Vec<Value> {
    let body = json!({ "numbers": numbers, "once": "" });
    let reply = client.json("POST", "/rest/disk/monitor-traffic", body).await;
    reply.body.as_array().cloned().unwrap_or_else(|| panic!("{reply:?}"))
}

#[tokio::test]
async fn counters_are_shown_where_they_are_named_or_by_the_monitor_only() {
    let (simulator, mut client, id) = simulator().await;
    let full = client.get("/rest/disk?slot=v").await.body[0].clone();
    assert!(full.get("read-ops").is_none(), "{full}");
    let counters = json!({ ".id": id, "in-flight-ops": "2", "read-ops": "10", "read-time": "48s149ms", "wait-time": "50s" });
    assert_eq!(named(&mut client).await, counters);
    let sample = sampled(&mut client, "v").await[0].clone();
    assert_eq!((&sample["write-bytes"], &sample["read-time"]), (&json!("16384"), &json!("48s149ms")));
    simulator.handle().assume("disk-counters", "monitored").unwrap();
    assert_eq!(named(&mut client).await, json!({ ".id": id }));
    assert_eq!(sampled(&mut client, "v").await, [sample]);
}

#[tokio::test]
async fn several_disks_are_monitored_each_or_the_first_and_one_that_is_not_there_ends_it() {
    let (simulator, mut client, id) = simulator().await;
    let both = format!("{id},w");
    let slots = |rows: Vec<Value>| rows.iter().map(|row| row["slot"].clone()).collect::<Vec<_>>();
    assert_eq!(slots(sampled(&mut client, &both).await), ["v", "w"]);
    simulator.handle().assume("monitor-several", "first").unwrap();
    assert_eq!(slots(sampled(&mut client, &both).await), ["v"]);
    let gone = json!({ "numbers": "v,gone", "once": "" });
    assert_eq!(client.json("POST", "/rest/disk/monitor-traffic", gone).await.status, 400);
}

#[tokio::test]
async fn counters_grow_until_a_reset_or_a_boot() {
    let (simulator, mut client, _) = simulator().await;
    let ops = async |client: &mut Client| named(client).await["read-ops"].clone();
    simulator.handle().add_traffic("v", &SOME).unwrap();
    assert_eq!(ops(&mut client).await, "20");
    client.json("POST", "/rest/disk/reset-counters", json!({ "numbers": "v" })).await;
    assert_eq!(ops(&mut client).await, "0");
    simulator.handle().add_traffic("v", &SOME).unwrap();
    simulator.handle().reboot(routeros_sim::Reboot::default()).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    assert_eq!(ops(&mut client).await, "0");
}

#[tokio::test]
async fn traffic_is_added_over_the_control_port_and_what_is_misspelt_is_refused() {
    let (simulator, mut client, _) = simulator().await;
    let control = Control::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = control.address();
    tokio::spawn(control.serve(simulator.handle()));
    let mut hand = Client::connect_to(TcpStream::connect(address).await.unwrap()).await;
    for (asked, status) in [
        (json!({ "slot": "v", "more": { "read-ops": 5 } }), 200),
        (json!({ "slot": "gone", "more": { "read-ops": 5 } }), 400),
        (json!({ "slot": "v", "more": { "reed-ops": 5 } }), 400),
    ] {
        assert_eq!(hand.json("POST", "/traffic", asked.clone()).await.status, status, "{asked}");
    }
    assert_eq!(named(&mut client).await["read-ops"], "15");
}

#[tokio::test]
async fn sensors_are_those_of_the_model() {
    let (simulator, mut client, _) = simulator().await;
    for (value, sensors) in [("rack", 8), ("small", 4), ("none", 0)] {
        simulator.handle().assume("health-sensors", value).unwrap();
        let rows = client.get("/rest/system/health").await.body;
        assert_eq!(rows.as_array().unwrap().len(), sensors, "{value}");
    }
}
