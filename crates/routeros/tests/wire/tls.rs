//! Real sockets: who is trusted, and what an abort looks like from the other side.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use routeros::{
    Address, Client, ErrorKind, Fingerprint, Outcome, PlainHttp, RestConfig, RestTransport, Trust,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::device::{Device, ok};

/// A device under TLS on loopback, and the CA that signed its certificate.
struct Served {
    device: Device,
    address: SocketAddr,
    ca_file: PathBuf,
    fingerprint: Fingerprint,
    _files: tempfile::TempDir,
}

impl Served {
    async fn start(versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let device = Device::new((0..4).map(|_| ok("[]")));
        let files = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate: CertificateDer<'static> = params.signed_by(&key, &ca).unwrap().der().clone();
        let ca_file = files.path().join("ca.pem");
        std::fs::write(&ca_file, ca.pem()).unwrap();
        let hex: String = Sha256::digest(&certificate).iter().map(|byte| format!("{byte:02X}:")).collect();
        let fingerprint = hex.trim_end_matches(':').parse().unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let address = accept(device.clone(), TlsAcceptor::from(Arc::new(config))).await;
        Self { device, address, ca_file, fingerprint, _files: files }
    }

    fn client(&self, trust: Trust) -> Client<RestTransport> {
        client(&self.device, &format!("https://{}", self.address), trust)
    }
}

async fn accept(device: Device, tls: TlsAcceptor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(stream) = tls.accept(tcp).await {
                tokio::spawn(device.clone().serve(stream));
            }
        }
    });
    address
}

fn client(device: &Device, address: &str, trust: Trust) -> Client<RestTransport> {
    let config = RestConfig {
        address: Address::parse(address, PlainHttp::Allowed).unwrap(),
        trust,
        user_file: device.user_file(),
        password_file: device.password_file(),
        in_flight: RestConfig::DEFAULT_IN_FLIGHT,
    };
    Client::new(RestTransport::new(config).unwrap())
}

#[tokio::test]
async fn the_right_certificate_is_trusted_by_ca_by_pin_and_by_the_insecure_switch() {
    let served = Served::start(rustls::ALL_VERSIONS).await;
    for trust in [Trust::CaFile(served.ca_file.clone()), Trust::Pinned(served.fingerprint), Trust::Insecure] {
        served.client(trust.clone()).disks().await.unwrap_or_else(|error| panic!("{trust:?}: {error}"));
    }
}

#[tokio::test]
async fn a_device_that_speaks_tls_1_2_only_is_served() {
    let served = Served::start(&[&rustls::version::TLS12]).await;
    for trust in [Trust::CaFile(served.ca_file.clone()), Trust::Pinned(served.fingerprint)] {
        served.client(trust).disks().await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_certificate_is_refused_before_the_password_is_sent() {
    let (served, other) =
        (Served::start(rustls::ALL_VERSIONS).await, Served::start(rustls::ALL_VERSIONS).await);
    for trust in [Trust::CaFile(other.ca_file.clone()), Trust::Pinned(other.fingerprint)] {
        let error = served.client(trust).remove_disk(&"*1".parse().unwrap()).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Tls, Outcome::NotApplied), "{error}");
    }
    assert!(served.device.lines().is_empty());
}

#[tokio::test]
async fn a_ca_file_that_is_absent_or_empty_is_said_at_construction() {
    let device = Device::new([]);
    let files = tempfile::tempdir().unwrap();
    let empty = files.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for ca_file in [files.path().join("absent.pem"), empty] {
        let config = RestConfig {
            address: Address::parse("https://127.0.0.1", PlainHttp::Refused).unwrap(),
            trust: Trust::CaFile(ca_file.clone()),
            user_file: device.user_file(),
            password_file: device.password_file(),
            in_flight: 1,
        };
        let error = RestTransport::new(config).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(&*ca_file.to_string_lossy()), "{error}");
    }
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let device = Device::new([]);
    let client = client(&device, &format!("https://{address}"), Trust::Insecure);
    assert_eq!(client.disks().await.unwrap_err().kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn at_the_deadline_the_device_sees_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let device = Device::new([]);
    let client = client(&device, &format!("http://{}", listener.local_addr().unwrap()), Trust::Insecure);
    let far = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        tcp.read_to_end(&mut request).await
    });
    let error = client.until(Instant::now() + Duration::from_secs(2)).disks().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert_eq!(far.await.unwrap().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
