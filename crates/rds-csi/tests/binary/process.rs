//! A running `rds-csi`, and what it says.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

/// For anything that a healthy process does at once; it is only ever waited out by a failing test.
const PATIENCE: Duration = Duration::from_secs(20);

/// The user in every test's user file.
pub(crate) const USER: &str = "rds-csi";

/// The password in every test's password file.
pub(crate) const PASSWORD: &str = "correct-horse-battery";

/// Nothing listens there: port 1 of loopback.
pub(crate) const NO_DEVICE: &str = "https://127.0.0.1:1";

/// A directory with the files that a role needs, and the flags that name them.
pub(crate) struct Setup {
    pub(crate) directory: TempDir,
    pub(crate) flags: Vec<String>,
}

impl Setup {
    pub(crate) fn controller(address: &str) -> Self {
        let mut setup = Self::of("controller");
        let files = [("user", USER), ("password", PASSWORD)].map(|(name, text)| setup.file(name, text));
        for (flag, value) in [
            ("--address", address),
            ("--user-file", files[0].to_str().unwrap()),
            ("--password-file", files[1].to_str().unwrap()),
            ("--cluster-id", "test-cluster"),
            ("--base-path", "/raid10/csi"),
            ("--nvme-address", "127.0.0.1:4420"),
        ] {
            setup = setup.with(flag, value);
        }
        setup.flags.push("--tls-insecure".into());
        setup
    }

    pub(crate) fn node() -> Self {
        let setup = Self::of("node").with("--node-name", "node-a");
        let kubelet = setup.directory.path().join("kubelet");
        fs::create_dir(&kubelet).unwrap();
        setup.with("--kubelet-dir", kubelet.to_str().unwrap())
    }

    /// Only a first word.
    pub(crate) fn bare(word: &str) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), flags: vec![word.into()] }
    }

    fn of(role: &str) -> Self {
        let setup = Self::bare(role);
        let endpoint = format!("unix://{}", setup.socket().display());
        setup.with("--endpoint", &endpoint).with("--metrics-address", "127.0.0.1:0")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("csi.sock")
    }

    /// Writes a file that only its owner reads.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Adds a flag or replaces its value.
    pub(crate) fn with(mut self, flag: &str, value: &str) -> Self {
        self = self.without(flag);
        self.flags.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// Takes a flag and its value away.
    pub(crate) fn without(mut self, flag: &str) -> Self {
        if let Some(at) = self.flags.iter().position(|known| known == flag) {
            let is_value = |next: &&String| !next.starts_with("--");
            let values = usize::from(self.flags.get(at + 1).as_ref().is_some_and(is_value));
            self.flags.drain(at..=at + values);
        }
        self
    }

    #[allow(clippy::disallowed_methods, reason = "test support starts the binary")]
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rds-csi"));
        command
            .args(&self.flags)
            .env_clear()
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs it to its end; its exit code and what it wrote to stderr.
    pub(crate) async fn fails(&self) -> (i32, String) {
        let ended = timeout(PATIENCE, self.command().output()).await.expect("it goes on running").unwrap();
        (ended.status.code().unwrap(), String::from_utf8(ended.stderr).unwrap())
    }

    /// Runs it to its end; its exit code and what it wrote to stdout.
    pub(crate) async fn says(&self) -> (i32, String) {
        let ended = timeout(PATIENCE, self.command().output()).await.expect("it goes on running").unwrap();
        (ended.status.code().unwrap(), String::from_utf8(ended.stdout).unwrap())
    }

    /// Starts it and waits until it serves.
    pub(crate) async fn start(&self) -> Running {
        let mut child = self.command().spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut running = Running { child, stderr, log: String::new() };
        running.logged("serving CSI").await;
        running
    }

    pub(crate) async fn connect(&self) -> Channel {
        let endpoint = format!("unix://{}", self.socket().display());
        Endpoint::new(endpoint).unwrap().connect().await.unwrap()
    }
}

/// A process that serves; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    /// What it has logged and was read.
    pub(crate) log: String,
}

impl Running {
    /// Waits for a log line with `text` in it, and returns it.
    pub(crate) async fn logged(&mut self, text: &str) -> String {
        loop {
            let next = timeout(PATIENCE, self.stderr.next_line()).await;
            let line = next.unwrap_or_else(|_| panic!("no {text:?} in the log:\n{}", self.log)).unwrap();
            let line = line.unwrap_or_else(|| panic!("it ended without {text:?}:\n{}", self.log));
            self.log.push_str(&line);
            self.log.push('\n');
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Where metrics and health are served: port 0 was asked for, the log says which it became.
    pub(crate) fn http_address(&self) -> String {
        let line = self.log.lines().find(|line| line.contains("metrics and health are served")).unwrap();
        let address = &line[line.find("127.0.0.1:").unwrap()..];
        let end = address.find(|end: char| !end.is_ascii_digit() && end != '.' && end != ':');
        address[..end.unwrap_or(address.len())].to_owned()
    }

    /// The status line and the body of a GET.
    pub(crate) async fn get(&self, path: &str) -> (String, String) {
        let (head, body) = self.get_as(path, "*/*").await;
        (head.lines().next().unwrap().to_owned(), body)
    }

    /// The status line with the headers, and the body, of a GET that accepts this.
    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.http_address()).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    /// Sends SIGTERM, to this process only.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn killed(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for the end; the whole log is read then.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it goes on running").unwrap();
        while let Some(line) = self.stderr.next_line().await.unwrap() {
            self.log.push_str(&line);
            self.log.push('\n');
        }
        status
    }
}
