//! The adapters on a real API server, with exactly the rights of `deploy/rbac`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod events;
mod facts;
mod lease;
mod roles;
mod watches;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use kubernetes::{Client, Connection, Live, connect};
use serde_json::{Value, json};
use testbed::{ControlPlane, Tools, objects, wait_until};
use tokio::time::{Instant, sleep, timeout};
use volume::NqnPrefix;

const DRIVER: &str = "rds.csi.srvlab.io";
/// The namespace of the manifests.
const NAMESPACE: &str = "rds-csi";
const PREFIX: &str = "nqn.2000-02.com.mikrotik";

/// One for all tests, with the manifests applied; each test uses objects of its own.
fn control_plane() -> &'static ControlPlane {
    static SHARED: LazyLock<ControlPlane> = LazyLock::new(|| {
        let control_plane = ControlPlane::start(&Tools::from_environment().unwrap()).unwrap();
        control_plane.add_namespace(NAMESPACE).unwrap();
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rbac");
        control_plane.kubectl(&["apply", "-f", manifests.to_str().unwrap()]).unwrap();
        for account in ["rds-csi-controller", "rds-csi-node"] {
            // The authorizer learns of it by a watch.
            let user = format!("--as=system:serviceaccount:{NAMESPACE}:{account}");
            let asked = ["auth", "can-i", "create", "events.events.k8s.io", &user];
            let known = || Ok(control_plane.kubectl(&asked).is_ok().then_some(()));
            wait_until("its rights are known", Duration::from_secs(60), known).unwrap();
        }
        control_plane
    });
    &SHARED
}

/// A client of a service account of the manifests.
async fn client(account: &str) -> Client {
    let control_plane = control_plane();
    let kubeconfig =
        control_plane.kubeconfig_of_service_account(NAMESPACE, account, control_plane.address()).unwrap();
    connect(&Connection::Kubeconfig(kubeconfig), "kubernetes-tests/0").await.unwrap()
}

async fn live(account: &str) -> Live {
    Live::new(client(account).await, DRIVER, NqnPrefix::parse(PREFIX).unwrap())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

/// Waits until it is so.
async fn until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(seen) = seen() {
                return seen;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}

fn admin(object: &Value) -> Value {
    control_plane().admin().create(object).unwrap()
}

/// A PV of the driver, reserved for a claim in `default`.
fn persistent_volume(name: &str, handle: &str, claim: Option<&str>) -> Value {
    admin(&objects::persistent_volume(name, DRIVER, handle, "1Gi", objects::Usage::SHARED_BLOCK, claim))
}

/// A VolumeAttachment that an attacher has served.
fn attached(name: &str, node: &str, volume: &str, nqn: &str) {
    admin(&objects::volume_attachment(name, DRIVER, node, volume));
    let status = json!({"status": {"attached": true, "attachmentMetadata": {"nvme_nqn": nqn}}});
    control_plane().admin().patch(&["volumeattachment", name, "--subresource=status"], &status).unwrap();
}
