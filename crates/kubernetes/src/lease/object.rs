//! The Lease object: what is read of it, and what is written.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;

use super::LeaseName;

/// Who released the Lease: a released Lease without it may be one of a backup.
const RELEASED_BY: &str = "rds.csi.srvlab.io/released-by";

/// A Lease as it was read; equal only to the very same version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// UID and resource version.
    pub version: (String, String),
    /// Its holder; empty: nobody.
    pub holder: String,
    /// Its `leaseDurationSeconds`; zero where it has none that makes sense.
    pub duration: Duration,
    /// Its `leaseTransitions`.
    pub transitions: u32,
    /// Whose last act was to release it.
    pub released_by: Option<String>,
}

impl Observed {
    pub(super) fn of(lease: &Lease) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let spec = lease.spec.clone().unwrap_or_default();
        let number = |number: Option<i32>| u32::try_from(number.unwrap_or_default()).unwrap_or_default();
        let annotations = lease.metadata.annotations.as_ref();
        Self {
            version: (text(&lease.metadata.uid), text(&lease.metadata.resource_version)),
            holder: spec.holder_identity.unwrap_or_default(),
            duration: Duration::from_secs(number(spec.lease_duration_seconds).into()),
            transitions: number(spec.lease_transitions),
            released_by: annotations.and_then(|annotations| annotations.get(RELEASED_BY)).cloned(),
        }
    }
}

/// A Lease that is not there yet.
pub(super) fn fresh(name: &LeaseName) -> Lease {
    let metadata = ObjectMeta {
        name: Some(name.name.clone()),
        namespace: Some(name.namespace.clone()),
        ..ObjectMeta::default()
    };
    Lease { metadata, spec: None }
}

/// The Lease with no holder: from now on its version can be watched.
pub(super) fn announced(lease: Lease, transitions: u32) -> Lease {
    let spec = LeaseSpec { lease_transitions: Some(number(transitions)), ..LeaseSpec::default() };
    Lease { spec: Some(spec), ..lease }
}

/// The Lease held: the times in it are for people.
pub(super) fn held(lease: Lease, identity: &str, transitions: u32, duration: Duration) -> Lease {
    let before = lease.spec.unwrap_or_default();
    let now = MicroTime(Timestamp::now());
    let same = before.holder_identity.as_deref() == Some(identity);
    let acquired = if same { before.acquire_time } else { None };
    let spec = LeaseSpec {
        acquire_time: acquired.or_else(|| Some(now.clone())),
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(seconds(duration)),
        lease_transitions: Some(number(transitions)),
        renew_time: Some(now),
        ..LeaseSpec::default()
    };
    let mut metadata = lease.metadata;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(RELEASED_BY);
    }
    Lease { metadata, spec: Some(spec) }
}

/// The Lease given back by `identity`.
pub(super) fn released(lease: Lease, identity: &str) -> Lease {
    let spec = LeaseSpec {
        holder_identity: None,
        renew_time: Some(MicroTime(Timestamp::now())),
        ..lease.spec.unwrap_or_default()
    };
    let mut metadata = lease.metadata;
    let annotations = metadata.annotations.get_or_insert_with(BTreeMap::new);
    annotations.insert(RELEASED_BY.to_owned(), identity.to_owned());
    Lease { metadata, spec: Some(spec) }
}

fn number(transitions: u32) -> i32 {
    i32::try_from(transitions).unwrap_or(i32::MAX)
}

/// Kubernetes wants whole seconds above zero; rounded up, since others wait for it.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX).max(1)
}
