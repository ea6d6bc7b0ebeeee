//! One helper process: started on a locked request, waited for by that lock.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use crate::op::{Op, Output};
use crate::protocol::{Request, read_answer};
use crate::{Error, ErrorKind, Result};

use super::Config;

/// No answer is longer: the longest read is 8 MiB.
const MAX_ANSWER: u64 = 9 << 20;

/// The two files of a helper.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) request: PathBuf,
    pub(super) answer: PathBuf,
}

impl Files {
    pub(super) fn new(directory: &Path, name: &str) -> Self {
        Self {
            request: directory.join(format!("{name}.request")),
            answer: directory.join(format!("{name}.answer")),
        }
    }

    /// The operation of a helper that still runs; `None` where none does.
    pub(super) fn running(&self) -> io::Result<Option<Op>> {
        if try_lock(&File::open(&self.request)?)? {
            return Ok(None);
        }
        let mut text = Vec::new();
        File::open(&self.request)?.take(MAX_ANSWER).read_to_end(&mut text)?;
        Ok(Some(serde_json::from_slice::<Request>(&text)?.op))
    }

    /// Waits until no process has the request open, and takes the answer.
    pub(super) async fn finish(&self, ended: &str) -> Result<Output> {
        let failed = |error| Error::io("wait for the helper of", &self.request, &error);
        until_unlocked(File::open(&self.request).map_err(failed)?).await.map_err(failed)?;
        let mut bytes = Vec::new();
        let answer = File::open(&self.answer).and_then(|file| file.take(MAX_ANSWER).read_to_end(&mut bytes));
        answer.map_err(|error| Error::io("read the answer", &self.answer, &error))?;
        self.remove();
        read_answer(&bytes).unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Refused(None), format!("its helper died before it answered ({ended})")))
        })
    }

    /// Removes both; what stays is removed by the next driver's start.
    pub(super) fn remove(&self) {
        for path in [&self.answer, &self.request] {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::debug!(path = %path.display(), %error, "a helper's file stays");
            }
        }
    }
}

fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Waits for the lock in a thread of its own: one of the runtime's would keep the driver from exiting.
async fn until_unlocked(file: File) -> io::Result<File> {
    if try_lock(&file)? {
        return Ok(file);
    }
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new().name("helper-lock".into()).spawn(move || {
        let locked = loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        // Nobody listens any more where the runtime went.
        let _ = sender.send(locked.map(|()| file));
    })?;
    Ok(receiver.await.map_err(io::Error::other)??)
}

/// Starts a helper. Its stdout is a file, or a pipe for one that lives on.
pub(super) async fn spawn(config: &Config, files: &Files, request: &Request, pipe: bool) -> Result<Child> {
    let failed = |error| Error::io("start a helper on", &files.request, &error);
    let locked = locked_request(&files.request, request).await.map_err(failed)?;
    let stdout = if pipe { Stdio::piped() } else { File::create(&files.answer).map_err(failed)?.into() };
    let mut command = std::process::Command::new(&config.helper);
    command.args(&config.arguments).arg(request.op.name());
    // A group of its own: a terminal's Ctrl-C is for the driver, and a helper is never interrupted.
    command.args(files.request.file_stem()).stdin(locked).stdout(stdout).process_group(0);
    // Nothing that is mounted is kept busy by where the driver was started.
    command.current_dir("/");
    Command::from(command).spawn().map_err(failed)
}

async fn locked_request(path: &Path, request: &Request) -> io::Result<File> {
    let open = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut file = until_unlocked(open).await?;
    file.set_len(0)?;
    file.write_all(&serde_json::to_vec(request)?)?;
    file.rewind()?;
    Ok(file)
}

/// What the kernel says of a process: `D` is uninterruptible sleep. `None` where it is not seen.
pub(super) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold anything, so the fields begin after its last parenthesis.
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}
