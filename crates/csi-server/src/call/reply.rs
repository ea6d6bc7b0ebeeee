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
        if let Some(status) = Status::from_header_map(&head.headers) {
            // Trailers-only (every error of a handler): nothing may follow the headers, not even an
            // empty body. Go's clients would take the status for lost.
            return Self::new(&status, Response::from_parts(head, Body::empty()));
        }
        let body = match body.collect().await {
            Ok(body) => body,
            Err(status) => return Self::failed(status),
        };
        let status = body.trailers().and_then(Status::from_header_map);
        let status = status.unwrap_or_else(|| Status::unavailable("the reply carries no grpc-status"));
        Self::new(&status, Response::from_parts(head, Body::new(body)))
    }

    /// A call that ended without a reply of the handler's own.
    pub(crate) fn failed(status: Status) -> Self {
        let (code, message) = (status.code(), status.message().to_owned());
        Self { code, message, response: status.into_http() }
    }

    fn new(status: &Status, response: Response<Body>) -> Self {
        Self { code: status.code(), message: status.message().to_owned(), response }
    }

    /// What goes to the client.
    pub(crate) fn into_response(self) -> Response<Body> {
        self.response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use http_body_util::Full;
    use tonic::transport::Body as _;

    #[tokio::test]
    async fn an_error_ends_the_stream_with_its_headers_as_go_clients_demand() {
        let error: Response<Body> = Status::not_found("no such volume").into_http();
        let reply = Reply::of(error).await;
        assert_eq!((reply.code, reply.message.as_str()), (Code::NotFound, "no such volume"));
        assert!(reply.into_response().body().is_end_stream());
    }

    #[tokio::test]
    async fn a_success_keeps_its_message_and_its_trailers() {
        let trailers =
            http::HeaderMap::from_iter([(Status::GRPC_STATUS, http::HeaderValue::from_static("0"))]);
        let body = Full::from("message").with_trailers(std::future::ready(Some(Ok(trailers))));
        let reply = Reply::of(Response::new(Body::new(body))).await;
        assert_eq!(reply.code, Code::Ok);
        let body = reply.into_response().into_body().collect().await.unwrap();
        assert!(body.trailers().unwrap().contains_key(Status::GRPC_STATUS));
        assert_eq!(body.to_bytes(), "message");
    }

    #[tokio::test]
    async fn a_reply_without_a_status_leaves_the_outcome_unknown_and_is_not_final() {
        let reply = Reply::of(Response::new(Body::new(Full::from("message")))).await;
        assert_eq!(reply.code, Code::Unavailable);
    }
}
