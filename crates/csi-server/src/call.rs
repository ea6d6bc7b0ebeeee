//! What surrounds every call: a span, a deadline, a metric, one log line, and a task of its own.

pub(crate) mod deadline;
mod method;
pub(crate) mod metrics;
mod record;
mod reply;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::task::JoinError;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use deadline::{CallDeadline, timeout_of};
use metrics::CallMetrics;
use record::CallRecord;
use reply::Reply;

/// Wraps a tonic service; see the crate's documentation for what each call gets.
#[derive(Clone, Debug)]
pub struct CallLayer {
    metrics: CallMetrics,
    running: TaskTracker,
}

/// [`CallLayer`]'s service.
#[derive(Clone, Debug)]
pub struct CallService<S> {
    inner: S,
    layer: CallLayer,
}

/// Puts the volume's id onto the span of the running call, and so onto each of its log lines.
pub fn record_volume_id(volume_id: &str) {
    Span::current().record("volume_id", volume_id);
}

impl CallLayer {
    /// A layer that counts into `metrics`.
    pub fn new(metrics: CallMetrics) -> Self {
        Self { metrics, running: TaskTracker::new() }
    }

    /// The tasks of the calls that run now, those whose client has left included.
    pub(crate) fn running(&self) -> &TaskTracker {
        &self.running
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CallService { inner, layer: self.clone() }
    }
}

impl<S> Service<Request<Body>> for CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let record = CallRecord::start(&request);
        let deadline = CallDeadline(record.started + timeout_of(request.headers()));
        request.extensions_mut().insert(deadline);
        let span = record.span.clone();
        let handler = span.in_scope(|| self.inner.call(request));
        let CallLayer { metrics, running } = self.layer.clone();
        // Tonic drops this service's future when the client leaves or its timeout passes. The
        // tasks go on: the first is the handler, the second counts and logs how it ended.
        let handler = running.spawn(handler.instrument(span.clone()));
        let call = async move {
            let reply = match handler.await {
                Ok(Ok(response)) => Reply::of(response).await,
                Err(broken) => Reply::failed(broken_off(broken)),
            };
            record.end(&reply, &metrics);
            reply.into_response()
        };
        let call = running.spawn(call.instrument(span));
        Box::pin(async move { Ok(call.await.unwrap_or_else(|broken| broken_off(broken).into_http())) })
    }
}

/// A handler that panicked, or whose runtime stops. Its effects are unknown, so that the code must be one after
/// which the CO asks again: INTERNAL is final for the provisioner and the kubelet.
fn broken_off(broken: JoinError) -> Status {
    let Ok(panic) = broken.try_into_panic() else {
        return Status::unavailable("the plugin is stopping");
    };
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(panic = text, "a handler panicked: this is a bug, please report it");
    Status::unavailable("the plugin failed on this call (a bug); its log says more")
}
