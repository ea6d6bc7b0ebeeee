//! HTTP/1.1 connections: login, queue, faults, answer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Scheme, Shared};
use crate::assumptions::KeepAlive;
use crate::device::user::Caller;
use crate::fault::Seen;
use crate::rest::{self, Answer, Request};

/// The largest body that is read, in bytes; the device's own bound is not known, no request of ours is near.
const LARGEST_BODY: usize = 1 << 20;

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) scheme: Scheme,
    /// `None` where no network is between.
    pub(super) peer: Option<SocketAddr>,
}

/// The connection is to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the reply is dropped")]
struct Dropped;

/// Serves a connection until it ends or the device goes down.
pub(super) async fn connection(
    shared: Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
) {
    let mut power = shared.power.subscribe();
    let keep_alive = shared.machine.assumptions().keep_alive == KeepAlive::Kept;
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { respond(&shared, client, request).await }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .keep_alive(keep_alive)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = served => if let Err(error) = ended { tracing::debug!(%error, "connection ended") },
        _ = power.wait_for(|on| !on) => {}
    }
}

async fn respond(
    shared: &Arc<Shared>,
    client: Client,
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, Dropped> {
    if client.scheme == Scheme::Http && !shared.rest_plain {
        return Ok(response(Answer::plain_error(403)));
    }
    let (parts, body) = request.into_parts();
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let caller = shared.logins.caller(&shared.machine.device(), header(http::header::AUTHORIZATION));
    let Some(caller) = caller else { return Ok(response(Answer::plain_error(401))) };
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(response(Answer::plain_error(413))),
    };
    let request = Request {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        has_content_type: header(http::header::CONTENT_TYPE).is_some(),
        body,
    };
    let assumptions = shared.machine.assumptions();
    let user = caller.user.clone();
    let seen = seen(shared, client, &user, &request);
    let work = serve(shared.clone(), caller, request, seen);
    match shared.lanes.run(&user, shared.session_cap, &assumptions, work).await {
        Ok(answer) => answer.map(response),
        Err(_) => Ok(response(Answer::error(400, "Session closed"))),
    }
}

/// A request as the log shows it, now that it has come.
fn seen(shared: &Shared, client: Client, user: &str, request: &Request) -> Seen {
    Seen {
        number: 0,
        came_millis: shared.faults.millis(),
        turn_millis: 0,
        peer: client.peer,
        method: request.method.to_string(),
        path: match &request.query {
            Some(query) => format!("{}?{query}", request.path),
            None => request.path.clone(),
        },
        user: user.to_owned(),
        body: String::from_utf8_lossy(&request.body).into_owned(),
    }
}

/// One request in its turn, with what goes wrong on the way.
async fn serve(shared: Arc<Shared>, caller: Caller, request: Request, seen: Seen) -> Result<Answer, Dropped> {
    let mut impact = shared.faults.meet(seen);
    let mut power = shared.power.subscribe();
    let latency = *shared.latency.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let delayed = async {
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        impact.before.pass().await;
    };
    // What the device has not begun when it goes down is never done.
    tokio::select! {
        () = delayed => {}
        _ = power.wait_for(|on| !on) => return Err(Dropped),
    }
    let answer = match &impact.fail {
        Some((status, detail)) if detail.is_empty() => Answer::plain_error(*status),
        Some((status, detail)) => Answer::error(*status, detail),
        None => rest::answer(&shared.machine, &caller, &request).await,
    };
    let runs_on = impact.fail.is_none() && rest::runs_on(&request) && answer.status.is_success();
    let finished = async {
        if runs_on {
            tokio::time::sleep(shared.session_cap).await;
        }
        impact.after.pass().await;
    };
    tokio::select! {
        () = finished => {}
        _ = power.wait_for(|on| !on) => return Err(Dropped),
    }
    if impact.drop_reply { Err(Dropped) } else { Ok(answer) }
}

fn response(answer: Answer) -> http::Response<Full<Bytes>> {
    let mut response = http::Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    if answer.status != http::StatusCode::NO_CONTENT {
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    }
    if answer.status == http::StatusCode::UNAUTHORIZED {
        headers.insert(
            http::header::WWW_AUTHENTICATE,
            http::HeaderValue::from_static("Basic realm=\"RouterOS\""),
        );
    }
    if let Some(location) = answer.location.and_then(|location| location.parse().ok()) {
        headers.insert(http::header::LOCATION, location);
    }
    response
}
