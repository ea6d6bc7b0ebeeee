//! A handler's reply with its status, which may be in the headers or in the trailers.

use http::Response;
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::{Code, Status};

/// A reply that is complete: every CSI call of a driver's three services is unary, so its body
/// is one message of bounded size.
pub(crate) struct Reply {
    /// How the call ended.
    pub(crate) code: Code,
    /// What the client is told; empty with `OK`.
    pub(crate) message: String,
    response: Response<Body>,
}

impl Reply {
    /// Waits for the body, and so for the trailers that end it.
    pub(crate) async fn of(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body,
            Err(status) => return Self::failed(status),
        };
        // Trailers-only replies (every error of a handler) carry the status in the headers.
        let status = Status::from_header_map(&head.headers)
            .or_else(|| Status::from_header_map(body.trailers()?))
            .unwrap_or_else(|| Status::unknown("the reply carries no grpc-status"));
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            response: Response::from_parts(head, Body::new(body)),
        }
    }

    /// A call that ended without a reply of the handler's own.
    pub(crate) fn failed(status: Status) -> Self {
        Self { code: status.code(), message: status.message().to_owned(), response: status.into_http() }
    }

    /// What goes to the client.
    pub(crate) fn into_response(self) -> Response<Body> {
        self.response
    }
}
