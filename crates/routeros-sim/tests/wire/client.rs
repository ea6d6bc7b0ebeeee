//! The least HTTP client that a test needs, over one half of a duplex stream.

use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use routeros_sim::{Scheme, Simulator};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: Value,
}

/// One connection of one user.
pub(crate) struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    authorization: String,
}

impl Client {
    /// Connects `admin` to the simulator.
    pub(crate) async fn connect(simulator: &Simulator) -> Self {
        Self::connect_as(simulator, "admin", "admin").await
    }

    pub(crate) async fn connect_as(simulator: &Simulator, user: &str, password: &str) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        simulator.spawn_serve(theirs, Scheme::Http);
        let words = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Self { authorization: format!("Basic {words}"), ..Self::connect_to(ours).await }
    }

    /// Speaks over any stream, without a login.
    pub(crate) async fn connect_to(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, authorization: String::new() }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Option<&Value>,
    ) -> Result<Reply, hyper::Error> {
        self.sender.ready().await?;
        let mut request = http::Request::builder().method(method).uri(path).header("host", "rds");
        request = request.header("authorization", &self.authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.sender.send_request(request.body(Full::from(body)).unwrap()).await?;
        let status = answer.status().as_u16();
        let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        let bytes = answer.into_body().collect().await?.to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Ok(Reply { status, location, body })
    }

    /// Sends JSON, and expects an answer.
    pub(crate) async fn json(&mut self, method: &str, path: &str, body: Value) -> Reply {
        let headers = [("content-type".to_owned(), "application/json".to_owned())];
        self.send(method, path, &headers, Some(&body)).await.unwrap()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, &[], None).await.unwrap()
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Reply {
        self.send("DELETE", path, &[], None).await.unwrap()
    }

    /// Makes a volume of 1 MiB on the pool `raid10`; answers its `.id`.
    pub(crate) async fn add(&mut self, slot: &str) -> String {
        let path = format!("raid10/{slot}.img");
        let body = serde_json::json!({
            "type": "file", "slot": slot, "file-path": path, "file-size": "1048576", "mount-filesystem": "no",
        });
        let reply = self.json("PUT", "/rest/disk", body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.body[".id"].as_str().unwrap().to_owned()
    }

    /// Changes a disk.
    pub(crate) async fn set(&mut self, id: &str, body: Value) -> Reply {
        self.json("PATCH", &format!("/rest/disk/{id}"), body).await
    }
}
