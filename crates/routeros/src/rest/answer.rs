//! What a status and an error body mean (routeros.md §4): kind, outcome, and the device's words.

use http::StatusCode;
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Outcome};

/// The body of an error: `{"error":400,"message":"Bad Request","detail":"no such item"}`.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: String,
}

/// Texts that say more than their status, looked for in this order. `true` is for those after which the command
/// may have acted, or may act still.
const TEXTS: &[(&str, ErrorKind, bool)] = &[
    ("Session closed", ErrorKind::SessionClosed, true),
    ("timed out", ErrorKind::SessionClosed, true),
    ("interrupted", ErrorKind::SessionClosed, true),
    ("no such item", ErrorKind::NotFound, false),
    ("already have", ErrorKind::AlreadyExists, false),
    ("not enough permissions", ErrorKind::Permission, false),
    ("not allowed (9)", ErrorKind::Permission, false),
    ("no such command", ErrorKind::Unsupported, false),
    ("unknown parameter", ErrorKind::Unsupported, false),
];

/// The error for an answer that is not a success.
pub(super) fn error_for(status: StatusCode, body: &[u8], is_read: bool) -> Error {
    let text = device_text(status, body);
    let (kind, may_have_acted) = classify(status, &text);
    let outcome = if may_have_acted && !is_read { Outcome::Unknown } else { Outcome::NotApplied };
    Error::new(kind, describe(kind, status)).with_device_text(&text).with_outcome(outcome)
}

fn classify(status: StatusCode, text: &str) -> (ErrorKind, bool) {
    let said = TEXTS.iter().find(|(said, ..)| text.contains(said));
    match (status, said) {
        (StatusCode::UNAUTHORIZED, _) => (ErrorKind::Authentication, false),
        (_, Some((_, kind, may_have_acted))) => (*kind, *may_have_acted),
        (StatusCode::FORBIDDEN, _) => (ErrorKind::Permission, false),
        (StatusCode::NOT_FOUND, _) => (ErrorKind::NotFound, false),
        (StatusCode::PAYLOAD_TOO_LARGE, _) => (ErrorKind::TooLarge, false),
        (StatusCode::REQUEST_TIMEOUT, _) => (ErrorKind::SessionClosed, true),
        (StatusCode::BAD_REQUEST | StatusCode::CONFLICT, _) => (ErrorKind::Refused, false),
        _ if status.is_server_error() => (ErrorKind::Unavailable, true),
        _ => (ErrorKind::Unsupported, false),
    }
}

fn device_text(status: StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice(body) {
        Ok(ErrorBody { message, detail }) if !detail.is_empty() => format!("{message}: {detail}"),
        Ok(ErrorBody { message, .. }) if !message.is_empty() => message,
        _ if body.is_empty() => status.to_string(),
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}

fn describe(kind: ErrorKind, status: StatusCode) -> String {
    let meaning = match kind {
        ErrorKind::Authentication => {
            "the user may not log in: check name and password, the group's `rest-api` policy and the user's `address`"
        }
        ErrorKind::Permission => "the user's group lacks a policy: it needs read, write, api and rest-api",
        ErrorKind::NotFound => "there is no such item",
        ErrorKind::AlreadyExists => "there is one already",
        ErrorKind::SessionClosed => "the device gave the request up after its 60 s",
        ErrorKind::Unavailable => "the device cannot serve now",
        ErrorKind::Unsupported => "this device does not know the request: it must be RouterOS 7.21 or newer",
        _ => "the device refused",
    };
    format!("{meaning} (HTTP {})", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str, is_read: bool) -> (ErrorKind, Outcome) {
        let error = error_for(StatusCode::from_u16(status).unwrap_or_default(), body.as_bytes(), is_read);
        (error.kind(), error.outcome())
    }

    #[test]
    fn every_answer_of_the_manual_has_its_kind_and_outcome() {
        use ErrorKind::*;
        use Outcome::{NotApplied, Unknown};
        let answers = [
            (400, "no such item", NotFound, NotApplied),
            (400, "missing or invalid resource identifier", Refused, NotApplied),
            (400, "failure: already have such entry", AlreadyExists, NotApplied),
            (400, "no such command or directory (x)", Unsupported, NotApplied),
            (400, "no such command prefix", Unsupported, NotApplied),
            (400, "unknown parameter nvme-tcp-server-nqn", Unsupported, NotApplied),
            (400, "input does not match any value of type", Refused, NotApplied),
            (400, "Session closed", SessionClosed, Unknown),
            (401, "", Authentication, NotApplied),
            (403, "", Permission, NotApplied),
            (404, "", NotFound, NotApplied),
            (406, "", Unsupported, NotApplied),
            (415, "", Unsupported, NotApplied),
            (500, "std failure: not allowed (9)", Permission, NotApplied),
            (500, "not enough permissions (9)", Permission, NotApplied),
            (500, "something else", Unavailable, Unknown),
            (503, "", Unavailable, Unknown),
        ];
        for (status, detail, kind, outcome) in answers {
            let body = format!(r#"{{"error":{status},"message":"x","detail":"{detail}"}}"#);
            assert_eq!(told(status, &body, false), (kind, outcome), "{status} {detail}");
            assert_eq!(told(status, &body, true), (kind, NotApplied), "reads are never unknown: {status}");
        }
    }

    #[test]
    fn the_devices_text_is_kept_bounded_and_without_control_characters() {
        let page = format!("<html>\u{1b}[31m{}", "x".repeat(5000));
        let error = error_for(StatusCode::BAD_GATEWAY, page.as_bytes(), true);
        let text = error.device_text().unwrap_or_default();
        assert!(text.starts_with("<html> [31mxxx") && text.chars().count() == 400, "{text}");
    }
}
