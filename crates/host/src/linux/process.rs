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

/// No request is longer: the largest write is 1 MiB, as numbers.
const MAX_REQUEST: u64 = 16 << 20;
/// As much of a dead helper's last words as fits an event.
const MAX_WORDS: u64 = 600;

/// What an answer's file ends with, where its request's ends otherwise.
const ANSWER: &str = "answer";

/// The files of a helper.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) request: PathBuf,
    pub(super) answer: PathBuf,
    /// Its stderr: a helper in D must not hold the driver's own, whose end somebody may wait for.
    pub(super) words: PathBuf,
}

/// What an earlier driver left on a helper's files.
pub(super) enum Left {
    Ended,
    /// The operation is `None` where a driver of another version asked for it, the process where it is
    /// in a PID namespace that cannot be seen.
    Running {
        op: Option<Op>,
        pid: Option<u32>,
    },
}

impl Files {
    pub(super) fn new(directory: &Path, name: &str) -> Self {
        Self {
            request: directory.join(format!("{name}.request")),
            answer: directory.join(format!("{name}.{ANSWER}")),
            words: directory.join(format!("{name}.words")),
        }
    }

    /// Whether a helper still runs on these files.
    pub(super) fn look(&self) -> io::Result<Left> {
        if try_lock(&File::open(&self.request)?)? {
            return Ok(Left::Ended);
        }
        let mut text = Vec::new();
        File::open(&self.request)?.take(MAX_REQUEST).read_to_end(&mut text)?;
        let request = serde_json::from_slice::<Request>(&text).ok();
        Ok(Left::Running { op: request.map(|request| request.op), pid: reader_of(&self.request) })
    }

    /// Waits until no process has the request open, and takes the answer.
    pub(super) async fn finish(&self, ended: &str) -> Result<Output> {
        let failed = |error| Error::io("wait for the helper of", &self.request, &error);
        until_unlocked(File::open(&self.request).map_err(failed)?).await.map_err(failed)?;
        let answer = self.answer().unwrap_or_else(|| {
            let died = format!("its helper died before it answered ({ended}): {}", self.last_words());
            Err(Error::new(ErrorKind::Refused(None), died))
        });
        self.remove();
        answer
    }

    /// The answer, where there is a whole one: no helper, or one that died, leaves none.
    pub(super) fn answer(&self) -> Option<Result<Output>> {
        let mut bytes = Vec::new();
        File::open(&self.answer).and_then(|file| file.take(MAX_ANSWER).read_to_end(&mut bytes)).ok()?;
        read_answer(&bytes)
    }

    /// Writes the request of a helper that waits for it.
    pub(super) fn ask(&self, request: &Request) -> io::Result<()> {
        std::fs::write(&self.request, serde_json::to_vec(request)?)
    }

    /// Forgets what was asked and answered, while the helper waits: it is older than what may be asked next,
    /// by the next driver too.
    pub(super) fn clear(&self) -> io::Result<()> {
        std::fs::remove_file(&self.answer)?;
        File::options().write(true).truncate(true).open(&self.request).map(drop)
    }

    /// What it said besides its answer: a panic, say. Nothing depends on it.
    fn last_words(&self) -> String {
        let mut words = Vec::new();
        let read = File::open(&self.words).and_then(|file| file.take(MAX_WORDS).read_to_end(&mut words));
        read.map_or_else(|error| error.to_string(), |_| String::from_utf8_lossy(&words).trim().to_owned())
    }

    /// Removes all; what stays is removed by the next driver's start.
    pub(super) fn remove(&self) {
        for path in [&self.answer, &self.words, &self.request] {
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

/// Starts a helper.
#[expect(clippy::disallowed_methods, reason = "this is where helpers are started")]
pub(super) async fn spawn(config: &Config, files: &Files, request: &Request, stdout: Stdio) -> Result<Child> {
    let failed = |error| Error::io("start a helper on", &files.request, &error);
    let locked = locked_request(&files.request, request).await.map_err(failed)?;
    let words = File::create(&files.words).map_err(failed)?;
    let mut command = std::process::Command::new(&config.helper);
    command.args(&config.arguments).arg(request.op.name());
    // A group of its own: a terminal's Ctrl-C is for the driver, and a helper is never interrupted.
    command.args(files.request.file_stem()).stdin(locked).stdout(stdout).stderr(words).process_group(0);
    // Nothing that is mounted is kept busy by where the driver was started.
    command.current_dir("/");
    Command::from(command).spawn().map_err(failed)
}

async fn locked_request(path: &Path, request: &Request) -> io::Result<File> {
    let open = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut file = until_unlocked(open).await?;
    file.set_len(0)?;
    match std::fs::remove_file(path.with_extension(ANSWER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    file.write_all(&serde_json::to_vec(request)?)?;
    file.rewind()?;
    Ok(file)
}

/// The process whose stdin is this file: a helper, or a tool that it started.
fn reader_of(request: &Path) -> Option<u32> {
    let reads = |pid: &u32| std::fs::read_link(format!("/proc/{pid}/fd/0")).is_ok_and(|path| path == request);
    numbers(Path::new("/proc")).filter(reads).min()
}

/// Whether a helper, or a tool that it started, is in uninterruptible sleep (D) with any of its threads. A helper leads a
/// process group of its own, and its tools are in it: it is them that hang in a mkfs, and its readers that hang in a scan,
/// while the helper itself merely waits.
pub(super) fn hangs(helper: u32) -> bool {
    hangs_in(Path::new("/proc"), helper)
}

fn hangs_in(proc: &Path, helper: u32) -> bool {
    let Some(group) = Stat::of(proc, helper).map(|stat| stat.group) else { return false };
    let is_of_the_group = |pid: &u32| Stat::of(proc, *pid).is_some_and(|stat| stat.group == group);
    let has_one_in_d = |pid: u32| {
        let threads = proc.join(pid.to_string()).join("task");
        numbers(&threads).any(|thread| Stat::of(&threads, thread).is_some_and(|stat| stat.state == 'D'))
    };
    numbers(proc).filter(is_of_the_group).any(has_one_in_d)
}

/// The processes or threads that a directory of `/proc` lists.
fn numbers(directory: &Path) -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// What `stat` says of a process or a thread; none where it is not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    group: u32,
}

impl Stat {
    fn of(directory: &Path, number: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(directory.join(number.to_string()).join("stat")).ok()?)
    }

    /// The command's name may hold anything, so the fields begin after its last parenthesis: state, parent, group.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        Some(Self { state, group: fields.nth(1)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_state_and_the_group_of_a_process_are_told_whatever_it_is_called() {
        for (line, state, group) in [
            ("812 (mke2fs) D 811 811 1 0 -1 4194304 12 0\n", 'D', 811),
            ("7 (a) b (S 1 2) R 3 4 5\n", 'R', 4),
        ] {
            assert_eq!(Stat::parse(line), Some(Stat { state, group }));
        }
        assert_eq!(Stat::parse("7 (cut off) S"), None);
        let own = std::process::id();
        assert!(Stat::of(Path::new("/proc"), own).is_some() && !hangs(own));
    }

    #[test]
    fn a_helper_hangs_with_any_thread_of_its_own_or_of_its_tools_and_with_nobody_elses() {
        // Each is a process, a thread of it and that one's state; all are of the group of 10 but 30.
        for (threads, expected) in [
            ([(10, 10, 'S'), (10, 11, 'S'), (20, 20, 'S'), (30, 30, 'S')], false),
            ([(10, 10, 'D'), (10, 11, 'S'), (20, 20, 'S'), (30, 30, 'S')], true),
            ([(10, 10, 'S'), (10, 11, 'D'), (20, 20, 'S'), (30, 30, 'S')], true),
            ([(10, 10, 'S'), (10, 11, 'S'), (20, 20, 'D'), (30, 30, 'S')], true),
            ([(10, 10, 'S'), (10, 11, 'S'), (20, 20, 'S'), (30, 30, 'D')], false),
        ] {
            let proc = tempfile::tempdir().unwrap();
            for (pid, thread, state) in threads {
                let (group, process) = (if pid == 30 { 30 } else { 10 }, proc.path().join(pid.to_string()));
                let own = process.join("task").join(thread.to_string());
                std::fs::create_dir_all(&own).unwrap();
                std::fs::write(own.join("stat"), format!("{thread} (x) {state} 1 {group} 0\n")).unwrap();
                std::fs::write(process.join("stat"), format!("{pid} (x) S 1 {group} 0\n")).unwrap();
            }
            assert_eq!(hangs_in(proc.path(), 10), expected, "{threads:?}");
            assert!(!hangs_in(proc.path(), 99), "gone");
        }
    }
}
