//! The simulator answers as the recorded and documented exchanges under `testdata/routeros` do.

use crate::client::{Client, Reply};
use routeros_sim::{Config, Simulator};
use serde_json::Value;

#[tokio::test]
async fn every_transcript_is_answered_as_it_was_recorded() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/routeros");
    let mut told = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let exchanges: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            for exchange in &exchanges {
                answers_as_recorded(exchange).await;
                told += 1;
            }
        }
    }
    assert!(told >= 40, "only {told} exchanges were found");
}

async fn answers_as_recorded(exchange: &Value) {
    let simulator = Simulator::start(Config { pools: Vec::new(), ..Config::default() }).await.unwrap();
    given(&simulator, &exchange["given"]);
    let request = &exchange["request"];
    let headers: Vec<(String, String)> = pairs(&request["headers"]);
    let reply = Client::connect(&simulator)
        .await
        .send(text(&request["method"]), text(&request["path"]), &headers, request.get("body"))
        .await
        .unwrap();
    compare(exchange, &reply);
}

fn given(simulator: &Simulator, given: &Value) {
    let handle = simulator.handle();
    for file in given["files"].as_array().into_iter().flatten() {
        let size = text(&file["size"]).parse().unwrap();
        handle.seed_file(Some(text(&file[".id"])), text(&file["name"]), size).unwrap();
    }
    for disk in given["disks"].as_array().into_iter().flatten() {
        let row = pairs(disk);
        let row: Vec<(&str, &str)> = row.iter().map(|(name, value)| (&**name, &**value)).collect();
        handle.seed_disk(&row).unwrap();
    }
    if let Some(policies) = given["policies"].as_str() {
        handle.seed_policies("admin", policies).unwrap();
    }
    if let Some(next) = given["next-id"].as_u64() {
        handle.seed_next_id(u32::try_from(next).unwrap());
    }
}

fn compare(exchange: &Value, reply: &Reply) {
    let name = text(&exchange["name"]);
    let expected = &exchange["response"];
    assert_eq!(u64::from(reply.status), expected["status"].as_u64().unwrap(), "{name}: {reply:?}");
    let body = &expected["body"];
    if body["error"].is_number() || body.is_null() {
        assert_eq!(reply.body, *body, "{name}");
    } else {
        assert!(shows(&reply.body, body), "{name}: {} is not in {}", body, reply.body);
    }
    if let Some(location) = expected["headers"]["location"].as_str() {
        assert_eq!(reply.location.as_deref(), Some(location), "{name}");
    }
    for absent in exchange["absent"].as_array().into_iter().flatten() {
        let rows = reply.body.as_array().cloned().unwrap_or_else(|| vec![reply.body.clone()]);
        assert!(rows.iter().all(|row| row.get(text(absent)).is_none()), "{name}: has {absent}");
    }
}

/// Whether every demanded property is there; rows of a list may come in any order.
fn shows(answer: &Value, demanded: &Value) -> bool {
    match (answer, demanded) {
        (Value::Object(row), Value::Object(demanded)) => {
            demanded.iter().all(|(name, value)| row.get(name) == Some(value))
        }
        (Value::Array(rows), Value::Array(demanded)) => {
            rows.len() == demanded.len()
                && demanded.iter().all(|each| rows.iter().any(|row| shows(row, each)))
        }
        (answer, demanded) => answer == demanded,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.clone(), text(value).to_owned())).collect()
}
