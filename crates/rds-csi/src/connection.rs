//! The management connection as people and alerts see it (R24): its state, and a log line when it is there, both
//! from the readiness that the controller keeps. What is lost, the controller says itself, with its reason.

use csi_server::{Readiness, ReadyState};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Follows one device's connection.
pub(crate) struct ConnectionFollower {
    address: String,
    /// 1 connected, 0 lost; absent until the first look has ended.
    state: Family<ByAddress, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByAddress {
    address: String,
}

impl ConnectionFollower {
    /// Shows the state of the device at `address` in `registry`; it is not known yet.
    pub(crate) fn new(address: &str, registry: &mut Registry) -> Self {
        let state = Family::default();
        registry.register(
            "rds_csi_rds_connection_state",
            "1 while the device answers and can serve volumes, else 0",
            Family::clone(&state),
        );
        Self { address: address.to_owned(), state }
    }

    /// Follows `readiness` from now on, even before the future is polled; that ends only with it.
    pub(crate) fn follow(self, readiness: &Readiness) -> impl Future<Output = ()> + use<> {
        let Self { address, state } = self;
        let label = ByAddress { address: address.clone() };
        let mut states = readiness.subscribe();
        async move {
            while states.changed().await.is_ok() {
                let ready = *states.borrow_and_update() == ReadyState::Ready;
                if ready {
                    tracing::info!(address, "the device answers and fits");
                }
                state.get_or_create(&label).set(ready.into());
            }
        }
    }
}
