//! Kubeconfig files.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::certificates::Credentials;
use crate::{Error, Result};

/// Who asks.
pub(crate) enum User<'a> {
    /// Who has this certificate.
    Certificate(&'a Credentials),
    /// Who has this token.
    Token(&'a str),
}

/// Writes a kubeconfig file. JSON is YAML, so every reader takes it.
pub(crate) fn write(path: &Path, server: SocketAddr, authority: &Path, user: &User<'_>) -> Result<()> {
    let text = kubeconfig(server, authority, user).to_string();
    std::fs::write(path, text).map_err(Error::host(path.display().to_string()))
}

fn kubeconfig(server: SocketAddr, authority: &Path, user: &User<'_>) -> Value {
    let user = match user {
        User::Certificate(credentials) => {
            json!({ "client-certificate": credentials.certificate, "client-key": credentials.key })
        }
        User::Token(token) => json!({ "token": token }),
    };
    let cluster = json!({ "server": format!("https://{server}"), "certificate-authority": authority });
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "testbed", "cluster": cluster }],
        "users": [{ "name": "user", "user": user }],
        "contexts": [{ "name": "testbed", "context": { "cluster": "testbed", "user": "user" } }],
        "current-context": "testbed",
    })
}
