//! The client's `grpc-timeout` as an instant that handlers can ask for.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tonic::Request;

/// For a client that names none: what the kubelet allows a call (`csiTimeout`, 2 minutes).
pub const DEFAULT_CALL_DEADLINE: Duration = Duration::from_secs(120);

/// The most that a client is given: a call holds its volume until it ends, so one that asks for
/// hours would lock the volume for hours. Ten minutes is five times the kubelet's own limit.
pub const LONGEST_CALL_DEADLINE: Duration = Duration::from_secs(600);

/// When the client stops waiting; a request extension set by [`CallLayer`](crate::CallLayer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallDeadline(pub Instant);

/// When the client stops waiting. A handler that cannot end before it should answer
/// with a retriable code in time; it is never cut off.
///
/// Without the layer (a handler called directly): [`DEFAULT_CALL_DEADLINE`] from now.
pub fn deadline_of<T>(request: &Request<T>) -> Instant {
    match request.extensions().get::<CallDeadline>() {
        Some(CallDeadline(deadline)) => *deadline,
        None => Instant::now() + DEFAULT_CALL_DEADLINE,
    }
}

/// How long the client waits, by its headers.
pub(crate) fn timeout_of(headers: &HeaderMap) -> Duration {
    headers
        .get("grpc-timeout")
        .and_then(|value| parse(value.to_str().ok()?))
        .unwrap_or(DEFAULT_CALL_DEADLINE)
        .min(LONGEST_CALL_DEADLINE)
}

/// `TimeoutValue TimeoutUnit` (gRPC over HTTP/2): at most eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_timeout_is_read_in_every_unit_and_capped() {
        for (header, expected) in [
            ("7S", Duration::from_secs(7)),
            ("2M", Duration::from_secs(120)),
            ("1500m", Duration::from_millis(1500)),
            ("10u", Duration::from_micros(10)),
            ("10n", Duration::from_nanos(10)),
            ("1H", LONGEST_CALL_DEADLINE),
            ("99999999H", LONGEST_CALL_DEADLINE),
            ("123456789S", DEFAULT_CALL_DEADLINE),
            ("", DEFAULT_CALL_DEADLINE),
            ("S", DEFAULT_CALL_DEADLINE),
            ("-1S", DEFAULT_CALL_DEADLINE),
            ("7s", DEFAULT_CALL_DEADLINE),
        ] {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-timeout"),
                http::HeaderValue::from_str(header).unwrap(),
            )]);
            assert_eq!(timeout_of(&headers), expected, "{header:?}");
        }
        assert_eq!(timeout_of(&HeaderMap::new()), DEFAULT_CALL_DEADLINE);
    }
}
