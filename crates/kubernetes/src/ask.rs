//! One request to the API server: it ends at its deadline, and says in one line why it failed.

use std::future::Future;

use kube::core::Status;
use tokio::time::{Instant, timeout_at};

/// Why the API server gave no answer that can be used. Unknown is never "absent".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{request}: {cause}")]
pub struct ApiError {
    /// What was asked.
    pub request: String,
    /// What came instead of an answer.
    pub cause: Cause,
}

/// What came instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No answer within the time of the caller; a write may have happened.
    #[error("the Kubernetes API did not answer in time")]
    Deadline,
    /// The API server refused: an HTTP status with its message.
    #[error("the Kubernetes API answered {code}: {message}")]
    Status {
        /// HTTP status code.
        code: u16,
        /// For people.
        message: String,
    },
    /// No connection, or one that broke; a write may have happened.
    #[error("the Kubernetes API cannot be reached: {0}")]
    Unreachable(String),
    /// An answer that is no such object.
    #[error("the Kubernetes API's answer cannot be read: {0}")]
    Unreadable(String),
}

impl ApiError {
    pub(crate) fn new(request: impl Into<String>, cause: Cause) -> Self {
        Self { request: request.into(), cause }
    }

    fn code(&self) -> Option<u16> {
        match self.cause {
            Cause::Status { code, .. } => Some(code),
            _ => None,
        }
    }

    /// 403: a role is missing; asking again changes nothing.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// 401 or 403: this client, or this request of it, is not to be served.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.code(), Some(401 | 403))
    }

    /// 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// 409: another writer was first, or the object exists.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Whether the same request may succeed later: no answer, too many requests, or the server's own trouble.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self.cause {
            Cause::Deadline | Cause::Unreachable(_) => true,
            Cause::Status { code, .. } => code == 408 || code == 429 || code >= 500,
            Cause::Unreadable(_) => false,
        }
    }
}

impl From<kube::Error> for Cause {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status { code: status.code, message: status.message },
            kube::Error::SerdeError(error) => Self::Unreadable(error.to_string()),
            other => Self::Unreachable(chain(&other)),
        }
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        cause = next.source();
    }
    line
}

/// Waits for one answer until `deadline`; then the request is dropped, and with it its connection.
pub(crate) async fn ask<T>(
    request: impl FnOnce() -> String,
    deadline: Instant,
    answer: impl Future<Output = kube::Result<T>>,
) -> Result<T, ApiError> {
    match timeout_at(deadline, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(ApiError::new(request(), error.into())),
        Err(_) => Err(ApiError::new(request(), Cause::Deadline)),
    }
}

/// Waits for one object until `deadline`; `None` only where the API server says of this very object that there is
/// none. Another 404 is no answer: a proxy, and a server that does not serve the resource, send one, too, and what
/// "gone" decides (a holder's place, unwritten data) cannot be taken back.
pub(crate) async fn find<T>(
    request: impl FnOnce() -> String,
    deadline: Instant,
    name: &str,
    answer: impl Future<Output = kube::Result<T>>,
) -> Result<Option<T>, ApiError> {
    let found = async {
        match answer.await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if is_absent(&status, name) => Ok(None),
            Err(error) => Err(error),
        }
    };
    ask(request, deadline, found).await
}

/// As the API server words it (`k8s.io/apimachinery`, `NewNotFound`): the details name the object.
fn is_absent(status: &Status, name: &str) -> bool {
    status.is_not_found() && status.details.as_ref().is_some_and(|details| details.name == name)
}
