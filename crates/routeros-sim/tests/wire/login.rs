//! Who may do what, and over which transport.

use std::sync::Arc;
use std::time::Duration;

use routeros_sim::{Assumptions, Config, Identity, Simulator};
use serde_json::json;

use crate::client::Client;

#[tokio::test]
async fn a_wrong_password_is_unauthorized() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let mut client = Client::connect_as(&simulator, "admin", "wrong").await;
    let reply = client.get("/rest/disk").await;
    assert_eq!((reply.status, reply.body), (401, json!({ "error": 401, "message": "Unauthorized" })));
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_shows_after_ten_minutes() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    let changed = client.json("PATCH", "/rest/user/admin", json!({ "password": "new" })).await;
    assert_eq!(changed.status, 200);
    assert_eq!(client.get("/rest/disk").await.status, 200);
    tokio::time::sleep(Duration::from_secs(601)).await;
    assert_eq!(client.get("/rest/disk").await.status, 401);
}

#[tokio::test]
async fn rest_without_tls_is_forbidden_where_it_is_switched_off() {
    let config = Config { rest_plain: false, ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    assert_eq!(Client::connect(&simulator).await.get("/rest/disk").await.status, 403);
}

#[tokio::test]
async fn tls_is_1_2_only_or_1_3_too() {
    let only_13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
    let only_12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
    for (value, new) in [("1.2", false), ("1.3", true)] {
        let mut assumptions = Assumptions::default();
        assumptions.set("tls", value).unwrap();
        let simulator = Simulator::start(Config { assumptions, ..Config::default() }).await.unwrap();
        let identity = Identity::generate(&["localhost".to_owned()]).unwrap();
        let address = simulator.listen_https("127.0.0.1:0".parse().unwrap(), &identity).await.unwrap();
        assert_eq!(handshakes(address, &identity, only_13).await, new, "{value}");
        assert!(handshakes(address, &identity, only_12).await, "{value}");
    }
}

async fn handshakes(
    address: std::net::SocketAddr,
    identity: &Identity,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> bool {
    use rustls_pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls_pki_types::CertificateDer::from_pem_slice(identity.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.is_ok()
}
