//! What a test can let go wrong.

use std::time::Duration;

use routeros_sim::control::Control;
use routeros_sim::{Action, Config, Fault, Reboot, Simulator, When};
use serde_json::{Value, json};

use crate::client::Client;

async fn started() -> (Simulator, Client) {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let client = Client::connect(&simulator).await;
    (simulator, client)
}

#[tokio::test]
async fn a_reply_dropped_after_the_effect_leaves_a_disk_and_no_answer() {
    let (simulator, mut client) = started().await;
    simulator.handle().faults().inject(Fault::once(Action::DropReply).on("PUT", "/rest/disk"));
    let body = json!({ "type": "file", "slot": "v", "file-path": "raid10/v.img", "file-size": "4096" });
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    assert!(client.send("PUT", "/rest/disk", &headers, Some(&body)).await.is_err());
    assert!(simulator.handle().disk("v").is_some());
}

#[tokio::test]
async fn a_failed_request_has_no_effect_and_the_next_is_served() {
    let (simulator, mut client) = started().await;
    let fail = Action::Fail { status: 400, detail: "failure: busy".to_owned() };
    simulator.handle().faults().inject(Fault { times: Some(1), ..Fault::always(fail).on("PUT", "") });
    let body = json!({ "type": "file", "slot": "v", "file-path": "raid10/v.img", "file-size": "4096" });
    let reply = client.json("PUT", "/rest/disk", body).await;
    assert_eq!(reply.body, json!({ "detail": "failure: busy", "error": 400, "message": "Bad Request" }));
    assert!(simulator.handle().disk("v").is_none());
    client.add("v").await;
}

#[tokio::test]
async fn a_held_request_waits_before_or_after_its_effect_until_released() {
    for (when, made) in [(When::Before, false), (When::After, true)] {
        let (simulator, mut client) = started().await;
        let handle = simulator.handle();
        let id = handle.faults().inject(Fault::once(Action::Hold { when }).on("PUT", ""));
        let task = tokio::spawn(async move { client.add("v").await });
        while handle.faults().met(id) == 0 || handle.disk("v").is_some() != made {
            tokio::task::yield_now().await;
        }
        assert!(!task.is_finished());
        assert_eq!(handle.faults().release(Some(id)), 1);
        task.await.unwrap();
        assert!(handle.disk("v").is_some());
    }
}

#[tokio::test]
async fn a_reboot_frees_the_queue_of_a_user_whose_request_was_held() {
    let (simulator, mut client) = started().await;
    let handle = simulator.handle();
    let id = handle.faults().inject(Fault::once(Action::Hold { when: When::After }).on("PUT", ""));
    let held = tokio::spawn(async move { client.add("v").await });
    while handle.faults().met(id) == 0 {
        tokio::task::yield_now().await;
    }
    handle.reboot(Reboot::default()).await.unwrap();
    assert!(held.await.is_err(), "it was answered");
    assert_eq!(Client::connect(&simulator).await.get("/rest/disk").await.status, 200);
}

#[tokio::test]
async fn a_full_pool_has_nothing_free_and_takes_nothing() {
    let (simulator, mut client) = started().await;
    simulator.handle().set_pool_full("raid10", true);
    assert_eq!(simulator.handle().disk("raid10").unwrap()["free"], "0");
    let body = json!({ "type": "file", "slot": "v", "file-path": "raid10/v.img", "file-size": "4096" });
    let reply = client.json("PUT", "/rest/disk", body).await;
    assert_eq!(reply.body["detail"], "failure: no space left on disk");
    simulator.handle().set_pool_full("raid10", false);
    client.add("v").await;
}

#[tokio::test]
async fn a_reboot_ends_connections_and_listeners_come_back_on_their_address() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let address = simulator.listen_http("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    client.add("v").await;
    simulator.handle().power_off(false).await.unwrap();
    assert!(client.send("GET", "/rest/disk", &[], None).await.is_err());
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    simulator.handle().power_on(Duration::ZERO).await.unwrap();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(simulator.handle().disk("v").is_some());
}

#[tokio::test]
async fn the_control_port_does_what_the_handle_does_and_only_on_loopback() {
    let refused = Control::bind("0.0.0.0:0".parse().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("must be on a loopback address"), "{refused}");

    let (simulator, mut client) = started().await;
    let control = Control::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = control.address();
    tokio::spawn(control.serve(simulator.handle()));
    let mut port = Client::connect_to(tokio::net::TcpStream::connect(address).await.unwrap()).await;

    let fault = json!({
        "action": { "fail": { "status": 500, "detail": "x" } }, "times": 1, "match": { "method": "GET" },
    });
    assert_eq!(port.json("POST", "/faults", fault).await.body, json!({ "id": 1 }));
    assert_eq!(client.get("/rest/disk").await.status, 500);
    assert_eq!(port.get("/requests").await.body["requests"][0]["path"], "/rest/disk");
    assert_eq!(port.get("/faults").await.body, json!([]));

    port.json("POST", "/pool-full", json!({ "pool": "raid10", "full": true })).await;
    assert_eq!(port.get("/state").await.body["disks"][0]["free"], "0");

    let seed =
        json!({ "disks": [{ ".id": "*2B", "slot": "s", "file-path": "raid10/s.img", "file-size": "4096" }] });
    assert_eq!(port.json("POST", "/seed", seed).await.body, json!({ "seeded": 1 }));
    assert_eq!(simulator.handle().disk("s").unwrap()[".id"], "*2B");

    let clock = port.json("POST", "/clock", json!({ "set": 1_790_338_407 })).await;
    assert_eq!(clock.body, json!({ "clock": 1_790_338_407 }));
    assert_eq!(client.get("/rest/system/clock").await.body["date"], "2026-09-25");

    let assumed = port.json("POST", "/assumptions", json!({ "slot-length": "none" })).await;
    assert_eq!(assumed.body["slot-length"], "none");
    let wrong = port.json("POST", "/assumptions", json!({ "slot-length": "1" })).await;
    assert_eq!(wrong.status, 400);

    assert_eq!(port.json("POST", "/reboot", json!({ "down-millis": 1 })).await.status, 200);
    assert_eq!(port.json("POST", "/faults", json!({ "action": "explode" })).await.status, 400);
    assert_eq!(port.delete("/faults/99").await.body, json!({ "error": "no such fault" }));
    assert!(port.get("/nothing").await.body["error"].is_string());
    assert_eq!(port.get("/requests").await.body["count"], Value::from(2));
}

#[test]
fn faults_are_written_as_the_readme_has_them() {
    let cases = [
        (
            Action::Latency { millis: 20, when: When::After },
            json!({ "latency": { "millis": 20, "when": "after" } }),
        ),
        (Action::Hold { when: When::Before }, json!({ "hold": { "when": "before" } })),
        (Action::DropReply, json!("drop-reply")),
    ];
    for (action, text) in cases {
        assert_eq!(serde_json::to_value(action).unwrap(), text);
    }
    let reboot: Reboot = serde_json::from_value(json!({ "power-cut": true })).unwrap();
    assert!(reboot.power_cut && reboot.down_millis == 0);
}
