//! Kubeconfig files.

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// Writes a kubeconfig file that needs no other: it can be taken elsewhere. JSON is YAML, so every reader takes it.
pub(crate) fn write(path: &Path, server: SocketAddr, authority: &Path, user: &User<'_>) -> Result<()> {
    let text = kubeconfig(server, authority, user)?.to_string();
    std::fs::write(path, text).map_err(Error::host(path.display().to_string()))
}

fn kubeconfig(server: SocketAddr, authority: &Path, user: &User<'_>) -> Result<Value> {
    let user = match user {
        User::Certificate(credentials) => json!({
            "client-certificate-data": inline(&credentials.certificate)?,
            "client-key-data": inline(&credentials.key)?,
        }),
        User::Token(token) => json!({ "token": token }),
    };
    let cluster =
        json!({ "server": format!("https://{server}"), "certificate-authority-data": inline(authority)? });
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "testbed", "cluster": cluster }],
        "users": [{ "name": "user", "user": user }],
        "contexts": [{ "name": "testbed", "context": { "cluster": "testbed", "user": "user" } }],
        "current-context": "testbed",
    }))
}

fn inline(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::host(path.display().to_string()))?;
    Ok(STANDARD.encode(bytes))
}
