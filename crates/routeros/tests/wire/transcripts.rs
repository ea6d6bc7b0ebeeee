//! The client held to the transcripts that the simulator is held to (`testdata/routeros/README.md`).

use std::path::Path;
use std::time::Duration;

use routeros::{
    Call, DiskRow, Error, ErrorKind, FileRow, ItemId, Menu, Outcome, Policies, Reply, Resource, Transport,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::device::{Device, Seen, Step};

#[derive(Deserialize)]
struct Exchange {
    name: String,
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    body: Option<Value>,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    body: Option<Value>,
}

fn transcripts() -> Vec<Exchange> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/routeros");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    json.flat_map(|path| serde_json::from_slice::<Vec<Exchange>>(&std::fs::read(path).unwrap()).unwrap())
        .collect()
}

/// Gives a response to the call that a request stands for; also what was sent.
async fn replay(exchange: &Exchange) -> (Result<Reply, Error>, Seen) {
    let body = exchange.response.body.as_ref().map(ToString::to_string).unwrap_or_default();
    let device = Device::new([Step::Answer(exchange.response.status, body)]);
    let client = device.client();
    let deadline = Instant::now() + Duration::from_secs(5);
    let result = with_call(exchange, async |call| client.transport().call(call, deadline).await).await;
    (result, device.seen().remove(0))
}

async fn with_call(
    Exchange { request, .. }: &Exchange,
    send: impl AsyncFnOnce(Call<'_>) -> Result<Reply, Error>,
) -> Result<Reply, Error> {
    let path = request.path.trim_start_matches("/rest/").split('?').next().unwrap();
    let (head, last) = path.rsplit_once('/').unwrap_or((path, ""));
    let properties = properties(request.body.as_ref());
    match (request.method.as_str(), last.parse::<ItemId>()) {
        ("PUT", _) => send(Call::Add { menu: menu(path), properties: &properties }).await,
        ("PATCH", Ok(id)) => send(Call::Set { menu: menu(head), id: &id, properties: &properties }).await,
        ("DELETE", Ok(id)) => send(Call::Remove { menu: menu(head), id: &id }).await,
        ("GET", Ok(id)) => {
            send(Call::Print { menu: menu(head), query: &[(".id", id.as_str())], proplist: &[] }).await
        }
        ("GET", Err(_)) => send(Call::Print { menu: menu(path), query: &[], proplist: &[] }).await,
        // Whatever else a transcript has is a form that this client does not send: its answer counts.
        _ => {
            let command: &'static str = last.to_owned().leak();
            send(Call::Command { menu: menu(head), command, arguments: &properties, reads_only: false }).await
        }
    }
}

fn menu(path: &str) -> Menu {
    Menu::new(path.to_owned().leak())
}

fn properties(body: Option<&Value>) -> Vec<(&'static str, String)> {
    let pairs = body.and_then(Value::as_object).into_iter().flatten();
    pairs.map(|(key, value)| (&*key.clone().leak(), value.as_str().unwrap_or_default().to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn every_success_is_understood_row_by_row() {
    let mut understood = 0;
    for exchange in transcripts().iter().filter(|exchange| exchange.response.status < 300) {
        let rows = replay(exchange).await.0.unwrap_or_else(|error| panic!("{}: {error}", exchange.name)).rows;
        let wanted: Vec<&Value> = match &exchange.response.body {
            Some(Value::Array(rows)) => rows.iter().collect(),
            Some(row) => vec![row],
            None => Vec::new(),
        };
        assert_eq!(rows.len(), wanted.len(), "{}", exchange.name);
        for (row, wanted) in rows.iter().zip(wanted) {
            for (name, value) in wanted.as_object().unwrap() {
                assert_eq!(row.get(name), value.as_str(), "{}: {name}", exchange.name);
            }
        }
        understood += 1;
    }
    assert!(understood > 20, "only {understood} transcripts");
}

#[tokio::test(start_paused = true)]
async fn every_whole_row_is_a_disk_a_file_or_a_system() {
    let mut typed = 0;
    for exchange in transcripts().iter().filter(|exchange| exchange.response.status < 300) {
        for row in replay(exchange).await.0.unwrap().rows {
            let path = exchange.request.path.as_str();
            let read = if path.starts_with("/rest/disk")
                && row.get("type").is_some()
                && row.get(".id").is_some()
            {
                DiskRow::try_from(&row).map(drop)
            } else if path.starts_with("/rest/file") && row.get("name").is_some() && row.get(".id").is_some()
            {
                FileRow::try_from(&row).map(drop)
            } else if path == "/rest/system/resource" {
                Resource::try_from(&row).map(drop)
            } else if let Some(policy) = row.get("policy") {
                assert!(Policies::parse(policy).allows("read") && !Policies::parse(policy).allows("write"));
                Ok(())
            } else {
                continue;
            };
            read.unwrap_or_else(|error| panic!("{}: {error}", exchange.name));
            typed += 1;
        }
    }
    assert!(typed >= 6, "only {typed} typed rows");
}

#[tokio::test(start_paused = true)]
async fn every_refusal_is_an_error_in_the_devices_words_of_which_nothing_happened() {
    let mut refused = 0;
    for exchange in transcripts().iter().filter(|exchange| exchange.response.status >= 300) {
        let body = exchange.response.body.as_ref().unwrap();
        refused += 1;
        let result = replay(exchange).await.0;
        if exchange.request.method == "GET" && exchange.response.status == 404 {
            assert!(result.unwrap().rows.is_empty(), "{}", exchange.name);
            continue;
        }
        let error = result.expect_err(&exchange.name);
        let said = body.get("detail").or_else(|| body.get("message")).and_then(Value::as_str).unwrap();
        assert!(error.device_text().unwrap().contains(said), "{}: {error}", exchange.name);
        assert_eq!(error.outcome(), Outcome::NotApplied, "{}: {error}", exchange.name);
        assert!(!error.is_retriable(), "{}: {error}", exchange.name);
        let permission = matches!(error.kind(), ErrorKind::Permission | ErrorKind::Authentication);
        assert_eq!(
            permission,
            [401, 403, 500].contains(&exchange.response.status),
            "{}: {error}",
            exchange.name
        );
    }
    assert!(refused > 10, "only {refused} refusals");
}

#[tokio::test(start_paused = true)]
async fn requests_are_sent_as_the_transcripts_have_them() {
    let mut sent = 0;
    for exchange in transcripts() {
        let Exchange { name, request, .. } = &exchange;
        let text_only = |body: &Value| body.as_object().unwrap().values().all(Value::is_string);
        if request.path.contains(['?', '%']) || !request.body.as_ref().is_none_or(text_only) {
            continue;
        }
        let by_name_or_without_id =
            ["PATCH", "DELETE"].contains(&request.method.as_str()) && !request.path.contains('*');
        if by_name_or_without_id {
            continue;
        }
        let seen = replay(&exchange).await.1;
        assert_eq!(seen.line, format!("{} {}", request.method, request.path), "{name}");
        let body = (!seen.body.is_empty()).then(|| serde_json::from_str::<Value>(&seen.body).unwrap());
        assert_eq!(body, request.body, "{name}");
        sent += 1;
    }
    assert!(sent > 20, "only {sent} requests");
}
