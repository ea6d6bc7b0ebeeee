//! A scripted device: it reads whole requests, remembers them, and does one step for each.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::Uri;
use routeros::{Address, Client, Credentials, PlainHttp, RestTransport};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Semaphore, watch};
use tower::Service;

/// What the device does with a request.
pub(crate) enum Step {
    /// Answers and keeps the connection.
    Answer(u16, String),
    /// Answers and closes the connection, without having said so.
    AnswerAndClose(u16, String),
    /// Acts, and closes the connection instead of answering.
    Drop,
    /// Answers half of what it announced and closes.
    Cut,
    /// Never answers.
    Hang,
    /// Sends the first piece, waits for the gate, and sends the second.
    InTwo(String, Arc<Semaphore>, String),
    /// Sends a body of blanks that never ends.
    Endless,
    /// Does something first.
    After(Box<dyn FnOnce() + Send>, Box<Step>),
}

/// A request as the device saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Method and target.
    pub(crate) line: String,
    pub(crate) authorization: String,
    pub(crate) body: String,
    /// Which of the connections, from 1.
    pub(crate) connection: usize,
}

#[derive(Default)]
struct State {
    script: VecDeque<Step>,
    seen: Vec<Seen>,
    connections: usize,
    refusing: bool,
}

/// The device; clones are the same one. As a connector it makes in-memory connections to itself.
#[derive(Clone)]
pub(crate) struct Device {
    state: Arc<Mutex<State>>,
    received: watch::Sender<usize>,
    ended: watch::Sender<usize>,
    files: Arc<TempDir>,
}

impl Device {
    pub(crate) fn new(script: impl IntoIterator<Item = Step>) -> Self {
        let files = tempfile::tempdir().unwrap();
        let state = State { script: script.into_iter().collect(), ..State::default() };
        let (received, ended) = (watch::channel(0).0, watch::channel(0).0);
        let device = Self { state: Arc::new(Mutex::new(state)), received, ended, files: Arc::new(files) };
        device.write_password("first");
        std::fs::write(device.user_file(), "admin\n").unwrap();
        device
    }

    pub(crate) fn user_file(&self) -> PathBuf {
        self.files.path().join("user")
    }

    pub(crate) fn password_file(&self) -> PathBuf {
        self.files.path().join("password")
    }

    pub(crate) fn write_password(&self, password: &str) {
        use std::os::unix::fs::PermissionsExt;
        let new = self.files.path().join("password.new");
        std::fs::write(&new, format!("{password}\n")).unwrap();
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::rename(new, self.password_file()).unwrap();
    }

    /// A client that reaches the device through memory.
    pub(crate) fn client(&self) -> Client<RestTransport> {
        self.client_with(4)
    }

    pub(crate) fn client_with(&self, in_flight: usize) -> Client<RestTransport> {
        let address = Address::parse("http://rds.test", PlainHttp::Allowed).unwrap();
        let credentials = Arc::new(Credentials::from_files(self.user_file(), self.password_file()).unwrap());
        Client::new(RestTransport::with_connector(address, credentials, self.clone(), in_flight))
    }

    pub(crate) fn then(&self, step: Step) {
        self.state.lock().unwrap().script.push_back(step);
    }

    pub(crate) fn refuse_connections(&self) {
        self.state.lock().unwrap().refusing = true;
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// Method and target of every request so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// Waits until so many requests have come.
    pub(crate) async fn received(&self, count: usize) {
        self.received.subscribe().wait_for(|received| *received >= count).await.unwrap();
    }

    /// Waits until so many connections were ended by the client.
    pub(crate) async fn ended_by_client(&self, count: usize) {
        self.ended.subscribe().wait_for(|ended| *ended >= count).await.unwrap();
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve<I: routeros::Io>(self, mut io: I) {
        let connection = {
            let mut state = self.state.lock().unwrap();
            state.connections += 1;
            state.connections
        };
        while let Some(seen) = read_request(&mut io, connection).await {
            let step = {
                let mut state = self.state.lock().unwrap();
                state.seen.push(seen);
                state.script.pop_front().unwrap_or_else(|| Step::Answer(500, "the script is over".into()))
            };
            self.received.send_modify(|received| *received += 1);
            if !perform(&mut io, step).await {
                return;
            }
        }
        self.ended.send_modify(|ended| *ended += 1);
    }
}

impl Service<Uri> for Device {
    type Response = DuplexStream;
    type Error = io::Error;
    type Future = Ready<io::Result<DuplexStream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        if self.state.lock().unwrap().refusing {
            return ready(Err(io::ErrorKind::ConnectionRefused.into()));
        }
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(self.clone().serve(far));
        ready(Ok(near))
    }
}

/// Whether the connection goes on.
async fn perform<I: routeros::Io>(io: &mut I, step: Step) -> bool {
    match step {
        Step::Answer(status, body) => {
            io.write_all(answer(status, &body, body.len()).as_bytes()).await.is_ok()
        }
        Step::AnswerAndClose(status, body) => {
            let _ = io.write_all(answer(status, &body, body.len()).as_bytes()).await;
            let _ = io.shutdown().await;
            false
        }
        Step::Drop => false,
        Step::Cut => {
            let _ = io.write_all(answer(200, "[{\"slot\":", 4096).as_bytes()).await;
            let _ = io.shutdown().await;
            false
        }
        // The next read of a request finds the end that the client makes.
        Step::Hang => true,
        Step::InTwo(first, gate, second) => {
            io.write_all(answer(200, &first, first.len() + second.len()).as_bytes()).await.unwrap();
            gate.acquire().await.unwrap().forget();
            io.write_all(second.as_bytes()).await.is_ok()
        }
        Step::Endless => {
            let _ = io.write_all(b"HTTP/1.1 200 OK\r\n\r\n[").await;
            while io.write_all(&[b' '; 64 * 1024]).await.is_ok() {}
            false
        }
        Step::After(act, step) => {
            act();
            Box::pin(perform(io, *step)).await
        }
    }
}

fn answer(status: u16, body: &str, length: usize) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

async fn read_request<I: routeros::Io>(io: &mut I, connection: usize) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
        }
        io.read_buf(&mut bytes).await.ok().filter(|read| *read > 0)?;
    };
    let header = |name: &str| {
        head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)))
    };
    let length: usize = header("content-length").map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < length {
        io.read_buf(&mut bytes).await.ok().filter(|read| *read > 0)?;
    }
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let authorization = header("authorization").map_or("", |(_, value)| value).to_owned();
    Some(Seen { line, authorization, body: String::from_utf8(bytes).unwrap(), connection })
}

/// A whole answer of status 200.
pub(crate) fn ok(body: impl Into<String>) -> Step {
    Step::Answer(200, body.into())
}

/// An error as RouterOS words it.
pub(crate) fn refusal(status: u16, detail: &str) -> Step {
    Step::Answer(status, format!(r#"{{"error":{status},"message":"Bad Request","detail":"{detail}"}}"#))
}

/// A file disk `*2B` in a slot, with more properties.
pub(crate) fn disk(slot: &str, more: &str) -> String {
    format!(r#"{{".id":"*2B","slot":"{slot}","type":"file","mount-filesystem":"false"{more}}}"#)
}
