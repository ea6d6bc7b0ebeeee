//! The thread that starts every process of this crate.

use std::io;
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread;

/// The kernel's parent-death signal follows the *thread* that started a process; tests run in threads that end.
/// So one thread, which lives as long as this process, starts them all.
static KEEPER: LazyLock<Sender<Request>> = LazyLock::new(|| {
    let (sender, requests) = channel::<Request>();
    thread::spawn(move || {
        for (mut command, answer) in requests {
            // Who asked waits for the answer.
            let _ = answer.send(command.spawn());
        }
    });
    sender
});

type Request = (Command, SyncSender<io::Result<Child>>);

/// Starts a process from the keeper's thread.
pub(super) fn spawn(command: Command) -> io::Result<Child> {
    let (answer, outcome) = sync_channel(1);
    let gone = || io::Error::other("the thread that starts processes has ended");
    KEEPER.send((command, answer)).map_err(|_| gone())?;
    outcome.recv().map_err(|_| gone())?
}
