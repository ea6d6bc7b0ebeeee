//! One place where a device's error becomes a gRPC status.
//!
//! | error | code |
//! |---|---|
//! | outcome unknown, or applied but not as told | UNAVAILABLE: read again, then retry |
//! | refused by the device in its own words | FAILED_PRECONDITION |
//! | refused by this client (a value that may not be sent) | INTERNAL: a bug |
//! | everything else: unreachable, TLS, password, policy, unreadable answer | UNAVAILABLE |
//!
//! Never NOT_FOUND: what could not be read is not absent. A final code makes the provisioner forget a disk that
//! may exist; the refusal is one only of a write, so after a read that found no disk.

use std::error::Error as _;

use routeros::{Error, ErrorKind, Outcome};
use tonic::{Code, Status};

/// The status for an error that happened while `doing` something, such as `reading volume "x"`.
pub(crate) fn status(doing: &str, error: &Error) -> Status {
    let mut chain = String::new();
    let mut cause = error.source();
    while let Some(source) = cause {
        chain.push_str(&format!(": {source}"));
        cause = source.source();
    }
    tracing::warn!(kind = ?error.kind(), outcome = ?error.outcome(), cause = chain.trim_start_matches(": "), "{doing}: {error}");
    Status::new(code(error), format!("{doing}: {error}{}", advice(error.kind())))
}

fn code(error: &Error) -> Code {
    match (error.outcome(), error.kind()) {
        (Outcome::Unknown | Outcome::Applied, _) => Code::Unavailable,
        (Outcome::NotApplied, ErrorKind::Refused) => Code::FailedPrecondition,
        (Outcome::NotApplied, ErrorKind::InvalidInput) => Code::Internal,
        (Outcome::NotApplied, _) => Code::Unavailable,
    }
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unreachable => "; is the device up, and its address right? The call is tried again",
        ErrorKind::Tls => "; check the CA file or the fingerprint against the device's certificate",
        ErrorKind::Authentication => "; check the user and password files and the user's policies",
        ErrorKind::Permission => "; add the missing policy to the group of the device's user",
        ErrorKind::Refused => "; mend what the device names, then try again",
        ErrorKind::InvalidInput => "; this is a bug, please report it",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_is_final_and_nothing_is_ever_absent() {
        use ErrorKind as K;
        for kind in [
            K::Unreachable,
            K::Tls,
            K::Authentication,
            K::Permission,
            K::NotFound,
            K::AlreadyExists,
            K::Malformed,
            K::TooLarge,
            K::Deadline,
            K::SessionClosed,
            K::Unavailable,
            K::Mismatch,
            K::Configuration,
            K::Unsupported,
        ] {
            assert_eq!(status("reading", &Error::new(kind, "x")).code(), Code::Unavailable, "{kind:?}");
        }
        assert_eq!(status("adding", &Error::new(K::Refused, "x")).code(), Code::FailedPrecondition);
        let unknown = Error::new(K::Refused, "x").with_outcome(Outcome::Unknown);
        assert_eq!(status("adding", &unknown).code(), Code::Unavailable);
    }
}
