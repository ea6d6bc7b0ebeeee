//! One call's span, and its end: a log line and a metric sample.

use http::Request;
use tokio::time::Instant;
use tonic::Code;
use tonic::body::Body;
use tracing::{Span, field};

use super::metrics::CallMetrics;
use super::reply::Reply;
use crate::code::code_name;

/// Calls that come by the clock and change nothing: their success is not worth a line.
const ROUTINE: [&str; 7] = [
    "Probe",
    "GetPluginInfo",
    "GetPluginCapabilities",
    "ControllerGetCapabilities",
    "NodeGetCapabilities",
    "NodeGetVolumeStats",
    "GetCapacity",
];

/// A call from its headers to its end.
pub(super) struct CallRecord {
    /// The span of everything that the call does: `rpc{method, volume_id}`.
    pub(super) span: Span,
    /// When the request's headers were there.
    pub(super) started: Instant,
    path: String,
}

impl CallRecord {
    /// Reads the method only; the body is never looked at, so no secret of it can get out.
    pub(super) fn start(request: &Request<Body>) -> Self {
        let path = request.uri().path().to_owned();
        let span = tracing::info_span!("rpc", method = method_of(&path), volume_id = field::Empty);
        Self { span, started: Instant::now(), path }
    }

    /// Counts and logs. Must run inside the span.
    pub(super) fn end(self, reply: &Reply, metrics: &CallMetrics) {
        let duration = self.started.elapsed();
        metrics.observe(&self.path, reply.code, duration);
        let duration_ms = duration.as_secs_f64() * 1000.0;
        let code = code_name(reply.code);
        match reply.code {
            Code::Ok if ROUTINE.contains(&method_of(&self.path)) => {
                tracing::debug!(code, duration_ms, "call ended");
            }
            Code::Ok => tracing::info!(code, duration_ms, "call ended"),
            _ => tracing::warn!(code, duration_ms, error = reply.message, "call failed"),
        }
    }
}

/// `CreateVolume` of `/csi.v1.Controller/CreateVolume`.
fn method_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, method)| method)
}
