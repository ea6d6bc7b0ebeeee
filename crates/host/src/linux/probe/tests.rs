#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use volume::{HostIdentity, Nqn, Tunables};

use super::*;

const IC_RESP: [u8; 12] = [1, 0, 128, 0, 128, 0, 0, 0, 0, 0, 0, 0];

/// A target that gives one answer to an ICReq and one to a Connect; the end of the task is our hang-up.
async fn target(ic: Vec<u8>, response: Vec<u8>) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 128];
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(&ic).await.unwrap();
        let mut connect = vec![0; 72 + 1024];
        if stream.read_exact(&mut connect).await.is_ok() {
            stream.write_all(&response).await.unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            assert!(rest.is_empty(), "nothing is said after the answer");
        }
        connect
    });
    (address, served)
}

async fn asked(address: SocketAddr) -> Probe {
    let connection = Connection {
        nqn: Nqn::parse("nqn.test:vol.0123456789abcdef").unwrap(),
        address,
        host: HostIdentity::from_id(uuid::Uuid::from_u128(5)),
        tunables: Tunables::default(),
    };
    probe(&connection, Instant::now() + Duration::from_secs(5)).await
}

fn ic_resp() -> Vec<u8> {
    let mut bytes = IC_RESP.to_vec();
    bytes.resize(128, 0);
    bytes
}

fn response(result: u32, status: u16) -> Vec<u8> {
    let mut bytes = vec![5, 0, 24, 0, 24, 0, 0, 0];
    bytes.extend_from_slice(&result.to_le_bytes());
    bytes.resize(22, 0);
    bytes.extend_from_slice(&(status << 1).to_le_bytes());
    bytes
}

#[tokio::test]
async fn what_a_target_says_is_told_apart_and_it_is_hung_up_on() {
    for (result, status, expected) in [
        (1, 0, Probe::Accepted),
        (0x1_0100, 0x4182, Probe::NqnUnknown),
        (0x1_0200, 0x4184, Probe::HostRefused),
    ] {
        let (address, served) = target(ic_resp(), response(result, status)).await;
        assert_eq!(asked(address).await, expected);
        let connect = served.await.unwrap();
        assert!(connect[72 + 256..].starts_with(b"nqn.test:vol.0123456789abcdef\0"));
    }
}

#[tokio::test]
async fn what_is_no_target_is_unreachable() {
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(8);
    let huge = vec![1, 0, 128, 0, 0xff, 0xff, 0xff, 0xff];
    for answer in [http, huge, Vec::new()] {
        let (address, served) = target(answer, Vec::new()).await;
        assert!(matches!(asked(address).await, Probe::Unreachable(_)));
        served.await.unwrap();
    }
}

#[tokio::test]
async fn a_port_that_nobody_listens_at_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert!(matches!(asked(address).await, Probe::Unreachable(_)));
}
