//! The one error of this crate: what failed, whether to retry, and whether it may have happened.

use std::error::Error as StdError;
use std::fmt;

type Source = Box<dyn StdError + Send + Sync>;

/// How much of the device's own text is kept, in characters: its messages are a line, and a page of HTML from
/// something in between must not fill the logs.
const DEVICE_TEXT_LIMIT: usize = 400;

/// The text with which RouterOS hides why it refused a PATCH or DELETE (routeros.md §4).
const HIDDEN_REASON: &str = "missing or invalid resource identifier";

/// What is known of a request's effect on the device after it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The device has not acted, and will not: nothing was sent, it was a read, or the device said no.
    NotApplied,
    /// The request may have been carried out, or may still be. Re-read before any other write to the row.
    Unknown,
    /// The device said that it was done, but what it answered is not what was asked for.
    Applied,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No connection, or it broke.
    Unreachable,
    /// The TLS handshake failed: wrong certificate, wrong protocol version.
    Tls,
    /// 401: wrong credentials, no `rest-api` policy, or an address that this user may not come from.
    Authentication,
    /// A policy of the user is missing.
    Permission,
    /// The device answered that there is no such item.
    NotFound,
    /// The device answered that there is such an item already.
    AlreadyExists,
    /// The device said no, in its own words.
    Refused,
    /// The answer is not what RouterOS answers.
    Malformed,
    /// The request or the answer is larger than this client accepts.
    TooLarge,
    /// The deadline passed.
    Deadline,
    /// The device gave the request up at its own cap of 60 s.
    SessionClosed,
    /// The device, or something before it, answered that it cannot serve now (5xx).
    Unavailable,
    /// The row that came back is not the one asked for, or not as it was written.
    Mismatch,
    /// The caller's value may not be sent.
    InvalidInput,
    /// A credentials or certificate file cannot be used.
    Configuration,
    /// The device or this client does not know the verb, menu or scheme.
    Unsupported,
}

impl ErrorKind {
    /// Whether the very same request may succeed later without anybody having changed anything.
    #[must_use]
    pub fn is_retriable(self) -> bool {
        matches!(self, Self::Unreachable | Self::Deadline | Self::SessionClosed | Self::Unavailable)
    }
}

/// A failed request: kind, outcome, where, and the device's own words.
///
/// `Display` leaves the source out, which [`StdError::source`] gives: the chain is logged where it is handled.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    what: String,
    context: Option<String>,
    device_text: Option<String>,
    source: Option<Source>,
}

impl Error {
    /// An error of which nothing reached the device; `what` says what failed and what to do.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        let (what, outcome) = (what.into(), Outcome::NotApplied);
        Self(Box::new(Inner { kind, outcome, what, context: None, device_text: None, source: None }))
    }

    /// The same error with another outcome.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// The same error with the request and device that it happened to, put before what was there.
    #[must_use]
    pub fn within(mut self, context: impl fmt::Display) -> Self {
        self.0.context = Some(match self.0.context.take() {
            Some(inner) => format!("{context}: {inner}"),
            None => context.to_string(),
        });
        self
    }

    /// The same error with the device's own text, cut and freed of control characters.
    #[must_use]
    pub fn with_device_text(mut self, text: &str) -> Self {
        let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        self.0.device_text = Some(clean.take(DEVICE_TEXT_LIMIT).collect());
        self
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the device may have acted.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Whether the very same request may succeed later without anybody having changed anything.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.0.kind.is_retriable()
    }

    /// The device's own words, where it said any.
    #[must_use]
    pub fn device_text(&self) -> Option<&str> {
        self.0.device_text.as_deref()
    }

    /// The error and its causes in one line, for where no chain can be shown.
    #[must_use]
    pub fn report(&self) -> String {
        let causes = std::iter::successors(self.source(), |cause| (*cause).source());
        causes.fold(self.to_string(), |line, cause| format!("{line}: {cause}"))
    }

    /// Whether the device refused a PATCH or DELETE without saying why.
    pub(crate) fn hides_its_reason(&self) -> bool {
        self.device_text().is_some_and(|text| text.contains(HIDDEN_REASON))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(context) = &self.0.context {
            write!(f, "{context}: ")?;
        }
        f.write_str(&self.0.what)?;
        if let Some(text) = &self.0.device_text {
            write!(f, " (the device said: {text:?})")?;
        }
        match self.0.outcome {
            Outcome::NotApplied => Ok(()),
            Outcome::Unknown => f.write_str("; whether it happened is unknown"),
            Outcome::Applied => f.write_str("; the device did act"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
