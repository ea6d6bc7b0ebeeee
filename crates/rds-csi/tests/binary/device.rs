//! A controller beside a simulated device.

use std::net::SocketAddr;

use csi_grpc::v1::ProbeRequest;
use csi_grpc::v1::identity_client::IdentityClient;
use routeros_sim::device::RosePackage;
use routeros_sim::version::Version;
use routeros_sim::{Config, Identity, Simulator, UserConfig};

use crate::process::{PASSWORD, Setup, USER};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// What RouterOS lets a user of this driver do.
pub(crate) const POLICIES: &str = "read,write,test,api,rest-api";

pub(crate) fn config(policies: &str) -> Config {
    let user = UserConfig { name: USER.into(), password: PASSWORD.into(), policies: policies.into() };
    Config { users: vec![user], directories: vec!["raid10/csi".into()], ..Config::default() }
}

fn identity() -> Identity {
    Identity::generate(&["127.0.0.1".into()]).unwrap()
}

/// A device with TLS, and a controller that trusts its certificate by file.
pub(crate) async fn device(config: Config) -> (Simulator, Setup) {
    let simulator = Simulator::start(config).await.unwrap();
    let identity = identity();
    let address = simulator.listen_https(ANY_PORT, &identity).await.unwrap();
    let setup = Setup::controller(&format!("https://{address}")).without("--tls-insecure");
    let ca = setup.file("ca.pem", identity.pem());
    let setup = setup.with("--ca-file", ca.to_str().unwrap());
    (simulator, setup)
}

/// A controller that trusts a certificate by its fingerprint.
fn pinned(address: SocketAddr, identity: &Identity) -> Setup {
    let setup = Setup::controller(&format!("https://{address}")).without("--tls-insecure");
    setup.with("--tls-fingerprint", &identity.fingerprint())
}

pub(crate) async fn fit_device() -> (Simulator, Setup) {
    device(config(POLICIES)).await
}

#[tokio::test]
async fn a_controller_follows_its_device_through_an_outage() {
    let identity = identity();
    let simulator = Simulator::start(config(POLICIES)).await.unwrap();
    let address = simulator.listen_https(ANY_PORT, &identity).await.unwrap();
    let setup = pinned(address, &identity).with("--poll-interval", "200ms");
    let mut running = setup.start().await;
    running.logged("the device answers and fits").await;
    let mut client = IdentityClient::new(setup.connect().await);
    let mut ready = async || client.probe(ProbeRequest {}).await.unwrap().into_inner().ready;
    assert_eq!(ready().await, Some(true));
    assert_eq!(running.get("/readyz").await.1, "ok\n");

    simulator.shutdown().await.unwrap();
    running.logged("the device cannot be served").await;
    assert_eq!(ready().await, Some(false));

    let simulator = Simulator::start(config(POLICIES)).await.unwrap();
    simulator.listen_https(address, &identity).await.unwrap();
    running.logged("the device answers and fits").await;
    assert_eq!(ready().await, Some(true));
    let (_, metrics) = running.get("/metrics").await;
    for figure in ["reconnect_total{status=\"success\"} 2", "reconnect_duration_seconds_count 2"] {
        assert!(metrics.contains(&format!("rds_csi_rds_{figure}\n")), "{metrics}");
    }
}

#[tokio::test]
async fn a_device_that_does_not_fit_is_described_and_not_served() {
    let old = Config { version: Version::seven(20), ..config(POLICIES) };
    let bare = Config { rose: RosePackage::Missing, ..config(POLICIES) };
    let disabled = Config { rose: RosePackage::Disabled, ..config(POLICIES) };
    for (config, said) in [
        (old, "RouterOS 7.20 is older than 7.21"),
        (bare, "package rose-storage is missing"),
        (disabled, "/system/package/enable rose-storage"),
        (config("read,api,rest-api"), "lacks write"),
        (config("read,write,rest-api"), "api"),
        (config("write,api"), "rest-api"),
    ] {
        let (_simulator, setup) = device(config).await;
        let mut running = setup.start().await;
        let line = running.logged("the device cannot be served").await;
        assert!(line.contains(said), "no {said:?} in {line}");
        let mut client = IdentityClient::new(setup.connect().await);
        assert_eq!(client.probe(ProbeRequest {}).await.unwrap().into_inner().ready, Some(false), "{said}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_and_mended_by_writing_the_file() {
    let (_simulator, setup) = fit_device().await;
    setup.file("password", "an-old-password");
    let mut running = setup.start().await;
    let line = running.logged("the device cannot be served").await;
    assert!(line.contains("password") && !line.contains("an-old-password"), "{line}");
    setup.file("password", PASSWORD);
    running.logged("the device answers and fits").await;
}

#[tokio::test]
async fn a_certificate_is_trusted_by_file_or_fingerprint_and_otherwise_not() {
    let (simulator, setup) = fit_device().await;
    setup.file("ca.pem", identity().pem());
    let line = setup.start().await.logged("the device cannot be served").await;
    assert!(line.contains("TLS") && line.contains("certificate"), "{line}");

    let other = identity();
    let address = simulator.listen_https(ANY_PORT, &other).await.unwrap();
    let setup = pinned(address, &other);
    setup.start().await.logged("the device answers and fits").await;

    let setup = setup.with("--tls-fingerprint", &identity().fingerprint());
    let line = setup.start().await.logged("the device cannot be served").await;
    assert!(line.contains("TLS") && line.contains("fingerprint"), "{line}");
}
