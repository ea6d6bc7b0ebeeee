//! One request of a user at a time, sixty seconds at most, and on after the client has left.

use std::time::Duration;

use routeros_sim::{Action, Assumptions, Config, Fault, Simulator, When};
use serde_json::json;
use tokio::time::Instant;

use crate::client::Client;

async fn simulator(assumption: &str) -> Simulator {
    let mut assumptions = Assumptions::default();
    assumptions.assume(assumption).unwrap();
    let mut config = Config { assumptions, ..Config::default() };
    let second = routeros_sim::UserConfig { name: "other".into(), ..config.users[0].clone() };
    config.users.push(second);
    Simulator::start(config).await.unwrap()
}

fn latency(seconds: u64) -> Action {
    Action::Latency { millis: seconds * 1000, when: When::Before }
}

/// Waits for what other tasks are about to do, without letting time pass.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_user_wait_for_each_other_and_those_of_another_do_not() {
    let simulator = simulator("order=fifo").await;
    simulator.handle().set_latency(Duration::from_secs(10));
    let mut same = [Client::connect(&simulator).await, Client::connect(&simulator).await];
    let mut other = Client::connect_as(&simulator, "other", "admin").await;
    let [first, second] = &mut same;
    let start = Instant::now();
    let took = |start: Instant| start.elapsed().as_secs();
    let (a, b, c) = tokio::join!(
        async {
            first.get("/rest/disk").await;
            took(start)
        },
        async {
            second.get("/rest/disk").await;
            took(start)
        },
        async {
            other.get("/rest/disk").await;
            took(start)
        },
    );
    assert_eq!((a.max(b), a.min(b), c), (20, 10, 10));
}

#[tokio::test(start_paused = true)]
async fn a_request_over_the_cap_is_answered_session_closed_with_all_behind_it_and_goes_on() {
    let simulator = simulator("order=fifo").await;
    let handle = simulator.handle();
    handle.faults().inject(Fault::once(latency(90)).on("PUT", ""));
    let mut clients = [Client::connect(&simulator).await, Client::connect(&simulator).await];
    let [first, second] = &mut clients;
    let start = Instant::now();
    let slow = json!({ "type": "file", "slot": "v", "file-path": "raid10/v.img", "file-size": "4096" });
    let met = || handle.faults().count() == 1;
    let (capped, queued) = tokio::join!(first.json("PUT", "/rest/disk", slow), async {
        until(met).await;
        second.get("/rest/disk").await
    });
    let closed = json!({ "detail": "Session closed", "error": 400, "message": "Bad Request" });
    assert_eq!((capped.status, &capped.body), (400, &closed));
    assert_eq!((queued.status, &queued.body), (400, &closed));
    assert_eq!(start.elapsed().as_secs(), 60);
    assert!(handle.disk("v").is_none(), "it still runs");

    // A read of the same user is a barrier: it comes after the command that went on.
    let found = second.get("/rest/disk?slot=v").await;
    assert_eq!((found.body.as_array().unwrap().len(), start.elapsed().as_secs()), (1, 90));
}

#[tokio::test(start_paused = true)]
async fn without_an_order_a_read_is_no_barrier_after_the_cap() {
    let simulator = simulator("order=none").await;
    simulator.handle().faults().inject(Fault::once(latency(90)).on("PUT", ""));
    let mut client = Client::connect(&simulator).await;
    let slow = json!({ "type": "file", "slot": "v", "file-path": "raid10/v.img", "file-size": "4096" });
    assert_eq!(client.json("PUT", "/rest/disk", slow).await.status, 400);
    assert_eq!(client.get("/rest/disk?slot=v").await.body, json!([]));
}

#[tokio::test(start_paused = true)]
async fn the_waiting_are_served_as_they_came_or_the_last_first() {
    for (value, expected) in [("fifo", ["/a", "/b"]), ("none", ["/b", "/a"])] {
        let simulator = simulator(&format!("order={value}")).await;
        let handle = simulator.handle();
        let hold = handle.faults().inject(Fault::once(Action::Hold { when: When::Before }));
        let mut tasks = Vec::new();
        for (index, path) in ["/rest/disk", "/a", "/b"].into_iter().enumerate() {
            let mut client = Client::connect(&simulator).await;
            tasks.push(tokio::spawn(async move { client.get(path).await }));
            // The first is met by the hold, the others must be in the queue, in this order.
            until(|| handle.queued() == index).await;
            until(|| handle.faults().count() == 1).await;
        }
        handle.faults().release(Some(hold));
        for task in tasks {
            task.await.unwrap();
        }
        let served: Vec<String> = handle.faults().requests().into_iter().map(|seen| seen.path).collect();
        assert_eq!(served[1..], expected, "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_on_after_its_client_left_or_is_dropped() {
    for (value, made) in [("goes-on", true), ("dropped", false)] {
        let simulator = simulator(&format!("request-after-disconnect={value}")).await;
        let handle = simulator.handle();
        handle.faults().inject(Fault::once(latency(5)).on("PUT", ""));
        let mut client = Client::connect(&simulator).await;
        let task = tokio::spawn(async move { client.add("v").await });
        until(|| handle.faults().count() == 1).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        tokio::time::sleep(Duration::from_secs(10)).await;
        // A later request of the same user is a barrier for both.
        Client::connect(&simulator).await.get("/rest/disk").await;
        assert_eq!(handle.disk("v").is_some(), made, "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_is_not_asked_for_one_sample_runs_into_the_cap() {
    let simulator = simulator("order=fifo").await;
    let mut client = Client::connect(&simulator).await;
    client.add("v").await;
    let once = json!({ "numbers": "v", "once": "" });
    let sample = client.json("POST", "/rest/disk/monitor-traffic", once).await;
    assert_eq!((sample.status, &sample.body[0]["slot"]), (200, &json!("v")));
    let endless = client.json("POST", "/rest/disk/monitor-traffic", json!({ "numbers": "v" })).await;
    assert_eq!(endless.body["detail"], "Session closed");
}
