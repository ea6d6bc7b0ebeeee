//! An API server of a test's own: a function from request to answer, behind kube's client.

use std::future::Future;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kubernetes::Client;
use serde_json::{Value, json};
use tower::service_fn;

/// A request as the API server sees it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// What it answers.
pub(crate) type Answer = (StatusCode, Value);

/// All requests so far.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Asked>>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }

    /// The bodies of the requests of one method.
    pub(crate) fn bodies(&self, method: &Method) -> Vec<Value> {
        self.all().into_iter().filter(|asked| asked.method == method).map(|asked| asked.body).collect()
    }
}

/// A client whose every request `answer` answers.
pub(crate) fn server<F, A>(answer: F) -> (Client, Log)
where
    F: Fn(Asked) -> A + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let (log, answer) = (Log::default(), Arc::new(answer));
    let kept = log.clone();
    let service = service_fn(move |request: Request<kube::client::Body>| {
        let (log, answer) = (kept.clone(), Arc::clone(&answer));
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let asked = Asked { method: parts.method, path: parts.uri.to_string(), body };
            log.0.lock().unwrap().push(asked.clone());
            let about =
                asked.path.split('?').next().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
            let (status, mut body) = answer(asked).await;
            if status == StatusCode::NOT_FOUND && body.get("details").is_none() {
                body["details"] = json!({ "name": about });
            }
            let response = Response::builder()
                .status(status)
                .body(kube::client::Body::from(body.to_string().into_bytes()));
            Ok::<_, kube::Error>(response.unwrap())
        }
    });
    (Client::new(service, "default"), log)
}

/// An answer that is an object.
pub(crate) fn ok(body: Value) -> Answer {
    (StatusCode::OK, body)
}

/// A refusal as the API server words it.
pub(crate) fn refused(code: u16) -> Answer {
    let status = StatusCode::from_u16(code).unwrap();
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": format!("refused with {code}"), "reason": if code == 404 { "NotFound" } else { "Test" }});
    (status, body)
}

/// A list of one page.
pub(crate) fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})
}
