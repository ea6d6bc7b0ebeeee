//! Objects by the thousand, made over several connections at once: kubectl makes one after the other.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use testbed::{ControlPlane, objects, wait_until};

use crate::raw::Raw;

/// Connections: the API server has several requests of each under way in etcd.
const CONNECTIONS: usize = 8;
/// The API server learns of a new binding by a watch, within milliseconds.
const SOON: Duration = Duration::from_secs(30);
/// Whose rights are used.
const ACCOUNT: (&str, &str) = ("kube-system", "bench");

/// One write: method, path, object.
pub(super) type Write = (&'static str, String, Value);

/// An API server, and somebody who may do everything.
pub(super) struct Api {
    address: String,
    certificate: PathBuf,
    authorization: String,
}

impl Api {
    /// Of that control plane, with an account of its own.
    pub(super) fn of(control_plane: &ControlPlane) -> Result<Self> {
        let (namespace, name) = ACCOUNT;
        let address = control_plane.address();
        let kubeconfig = control_plane.kubeconfig_of_service_account(namespace, name, address)?;
        let binding = objects::cluster_role_binding(name, "cluster-admin", namespace, name);
        control_plane.admin().create(&binding)?;

        let config: Value = serde_json::from_slice(&std::fs::read(&kubeconfig)?)?;
        let authority = config["clusters"][0]["cluster"]["certificate-authority-data"].as_str();
        let authority = authority.context("a kubeconfig without an authority")?;
        let certificate = control_plane.folder().join("bench-authority.pem");
        std::fs::write(&certificate, data_encoding::BASE64.decode(authority.as_bytes())?)?;
        let token = config["users"][0]["user"]["token"].as_str().context("a kubeconfig without a token")?;
        let api =
            Self { address: address.to_string(), certificate, authorization: format!("Bearer {token}") };
        let mut client = api.client()?;
        let may_read = || Ok(client.send("GET", "/api/v1/nodes?limit=1", None).ok());
        wait_until("the account has its rights", SOON, may_read)?;
        Ok(api)
    }

    /// Writes all of them; answers what the API server made of each, in the same order.
    pub(super) fn write(&self, writes: &[Write]) -> Result<Vec<Value>> {
        let share = writes.len().div_ceil(CONNECTIONS).max(1);
        let parts: Vec<Result<Vec<Value>>> = std::thread::scope(|scope| {
            let begin = |writes| scope.spawn(move || self.write_in_a_row(writes));
            let threads: Vec<_> = writes.chunks(share).map(begin).collect();
            let end = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join();
            threads.into_iter().map(|thread| end(thread).map_err(|_| anyhow!("a client panicked"))?).collect()
        });
        Ok(parts.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    fn write_in_a_row(&self, writes: &[Write]) -> Result<Vec<Value>> {
        let mut client = self.client()?;
        let write = |(method, path, object): &Write| {
            client.send(method, path, Some(object)).with_context(|| format!("{method} {path}"))
        };
        writes.iter().map(write).collect()
    }

    fn client(&self) -> Result<Raw> {
        Raw::new(&self.address, &self.certificate, self.authorization.clone())
    }
}
