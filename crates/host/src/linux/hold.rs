//! Talking to the helpers that hold devices.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use uuid::Uuid;

use crate::op::{Op, Output};
use crate::protocol::{Request, Roots, read_answer};
use crate::{Error, ErrorKind, Result};

use super::Config;
use super::process::{Files, Left, spawn};

/// An answer of a holder is one line.
const MAX_ANSWER: u64 = 64 << 10;

/// Where the holder for a target is spoken to: paths are too long for a socket's name.
struct Place {
    files: Files,
    socket: PathBuf,
}

impl Place {
    fn of(config: &Config, target: &Path) -> Self {
        let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, target.as_os_str().as_encoded_bytes());
        Self::named(&directory(config), &name.simple().to_string())
    }

    fn named(directory: &Path, name: &str) -> Self {
        Self { files: Files::new(directory, name), socket: directory.join(format!("{name}.sock")) }
    }
}

pub(super) fn directory(config: &Config) -> PathBuf {
    config.runtime.join("holds")
}

/// Removes what holders that were killed have left.
pub(super) fn forget_dead(config: &Config) -> io::Result<()> {
    let directory = directory(config);
    for entry in std::fs::read_dir(&directory)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".request")) else { continue };
        let place = Place::named(&directory, name);
        if matches!(place.files.look()?, Left::Ended) {
            place.files.remove();
            match std::fs::remove_file(&place.socket) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Holds a device for a target; held already is success.
pub(super) async fn hold(config: &Config, roots: &Roots, op: &Op, target: &Path) -> Result<Output> {
    let place = Place::of(config, target);
    if let Some(answer) = ask(&place.socket, op).await? {
        return answer;
    }
    match tokio::fs::remove_file(&place.socket).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &place.socket, &error));
        }
        _ => {}
    }
    let request =
        Request { roots: roots.clone(), op: op.clone(), answer: None, socket: Some(place.socket.clone()) };
    let mut child = spawn(config, &place.files, &request, Stdio::piped()).await?;
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = tokio::io::BufReader::new(stdout).take(MAX_ANSWER);
        let read = tokio::io::AsyncBufReadExt::read_until(&mut stdout, b'\n', &mut answer).await;
        read.map_err(|error| Error::io("read the answer of", &place.files.request, &error))?;
    }
    // Reaped whenever it ends; nobody waits for that.
    tokio::spawn(async move { child.wait().await });
    read_answer(&answer).unwrap_or_else(|| Err(died()))
}

/// Has the holder for a target flush and close; none is success.
pub(super) async fn release(config: &Config, op: &Op, target: &Path) -> Result<Output> {
    let place = Place::of(config, target);
    let Some(answer) = ask(&place.socket, op).await? else { return Ok(Output::Done) };
    // A holder that has let go, its flush failed or not, has no socket any more.
    if !place.socket.exists() {
        place.files.remove();
    }
    answer
}

fn died() -> Error {
    Error::new(ErrorKind::Refused(None), "the helper that holds the device died before it answered")
}

/// Speaks to a holder; `None` where there is none.
async fn ask(socket: &Path, op: &Op) -> Result<Option<Result<Output>>> {
    let failed = |error: io::Error| Error::io("speak to the holder at", socket, &error);
    let mut stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut line = serde_json::to_vec(op).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).await.map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await.map_err(failed)?;
    Ok(Some(read_answer(&answer).unwrap_or_else(|| Err(died()))))
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
