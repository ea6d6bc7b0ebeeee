//! The metric that every CSI plugin shows (B1).

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

use super::method;
use crate::code::code_name;

/// Seconds; the buckets of csi-lib-utils, so that its dashboards and alerts fit.
const BUCKETS: [f64; 13] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0, 600.0];

/// `csi_plugin_operations_seconds{driver_name, method_name, grpc_status_code}`. Clones share it.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    driver_name: String,
    operations: Family<Labels, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    driver_name: String,
    method_name: &'static str,
    grpc_status_code: &'static str,
}

impl CallMetrics {
    /// Makes the metric of the driver named, and shows it in `registry`.
    pub fn register(driver_name: impl Into<String>, registry: &mut Registry) -> Self {
        let operations = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        registry.register_with_unit(
            "csi_plugin_operations",
            "Duration of CSI calls with their gRPC status",
            Unit::Seconds,
            operations.clone(),
        );
        Self { driver_name: driver_name.into(), operations }
    }

    /// Adds one ended call. `path` as on the wire: `/csi.v1.Controller/CreateVolume`.
    pub(crate) fn observe(&self, path: &str, code: Code, duration: Duration) {
        let labels = Labels {
            driver_name: self.driver_name.clone(),
            method_name: method::label(path),
            grpc_status_code: code_name(code),
        };
        self.operations.get_or_create(&labels).observe(duration.as_secs_f64());
    }
}
