//! A pod's process that writes records with fsync, and what it was told to be safe.

use std::time::{Duration, Instant};

use microvm::{Background, Guest};
use scenarios::{Attached, Made, Node, System};
use tonic::{Code, Status};

/// An fsync takes tens of milliseconds in a guest, and seconds on a slow backend or a busy machine.
const RECORDS: Duration = Duration::from_secs(300);

/// How long a call is tried again: a guest on a busy machine gets a tenth of a processor.
const RETRIED: Duration = Duration::from_secs(600);

/// Where the nodes have the program: see [`super::programs`].
pub(crate) const RECORDER: &str = "/usr/bin/recorder";

/// A process in a guest that writes records into a volume's file system, or on its device.
#[derive(Debug)]
pub(crate) struct Writer {
    process: Background,
}

impl Writer {
    /// Starts one under a name, and waits until some of its records are safe.
    pub(crate) fn start(node: &Node, target: &str, who: &str) -> Self {
        Self::of(&node.guest, &format!("exec {RECORDER} write {target}/{who}.log {who} 2>&1"))
    }

    /// As [`Writer::start`]; beside each record it makes a page dirty that nobody syncs.
    pub(crate) fn start_with_dirty_pages(node: &Node, target: &str, who: &str) -> Self {
        Self::of(&node.guest, &format!("exec {RECORDER} dirty {target}/{who}.log {who} 2>&1"))
    }

    fn of(guest: &Guest, line: &str) -> Self {
        let writer = Self { process: guest.spawn(line).unwrap() };
        writer.wait_beyond(10, RECORDS);
        writer
    }

    /// The last record that it was told to be safe.
    pub(crate) fn acknowledged(&self) -> u64 {
        let said = String::from_utf8_lossy(&self.process.stdout()).into_owned();
        let acks = said.lines().filter_map(|line| line.strip_prefix("ack ")?.parse().ok());
        acks.max().unwrap_or(0)
    }

    /// Waits until more than so many are; answers how long that took.
    pub(crate) fn wait_beyond(&self, records: u64, within: Duration) -> Duration {
        let start = Instant::now();
        let next = format!("ack {}\n", records + 1);
        self.process.wait_for_stdout(&next, within).unwrap();
        start.elapsed()
    }

    /// SIGKILL, as the kubelet does it to a pod that does not end; it may hang in the kernel all the same. Answers
    /// the last record that it was told to be safe.
    pub(crate) fn kill(self) -> u64 {
        let _ = self.process.kill();
        self.acknowledged()
    }
}

/// How many records of a writer are in the volume, each of them as it was written.
pub(crate) fn records(node: &Node, made: &Made, who: &str) -> u64 {
    let file = format!("{}/{who}.log", Node::target(made));
    node.guest.sh(&format!("{RECORDER} check {file} {who}")).unwrap().parse().unwrap()
}

/// Writes records up to that number.
pub(crate) fn write(node: &Node, made: &Made, who: &str, count: u64) {
    let file = format!("{}/{who}.log", Node::target(made));
    node.guest.sh(&format!("{RECORDER} write {file} {who} {count} > /dev/null")).unwrap();
}

/// Whether the file system in a volume's image is as it was left by an orderly unmount.
pub(crate) fn assert_clean(system: &System, made: &Made) {
    let image = system.rds.image_of(&made.volume.volume_id).unwrap();
    let checked = system.rds.guest.run(&format!("e2fsck -fn {image}")).unwrap();
    assert!(checked.success(), "{checked}");
}

/// As the kubelet does it: tried again after every code that is not final.
pub(crate) fn mount(node: &Node, made: &Made, attached: &Attached) -> String {
    retried("mounted", || node.mount(made, attached))
}

/// As [`mount`].
pub(crate) fn unmount(node: &Node, made: &Made) {
    retried("unmounted", || node.unmount(made));
}

/// Attaches a volume and mounts it.
pub(crate) fn start(system: &System, made: &Made, node: &str) -> (Attached, String) {
    let attached = system.csi().attach(made, node).unwrap();
    let target = mount(system.node(node), made, &attached);
    (attached, target)
}

/// Unmounts a volume and detaches it.
pub(crate) fn end(system: &System, made: &Made, node: &str) {
    unmount(system.node(node), made);
    system.csi().detach(made, node).unwrap();
}

/// Of what is mounted at a path: `major:minor`.
pub(crate) fn mounted_number(node: &Node, target: &str) -> String {
    node.guest.sh(&format!("grep ' {target} ' /proc/self/mountinfo | cut -d ' ' -f 3")).unwrap()
}

/// On a busy machine a guest may stand still for longer than a keep-alive, which is an outage like any other.
pub(crate) fn retried<T>(what: &str, mut call: impl FnMut() -> anyhow::Result<T>) -> T {
    let again = |error: &anyhow::Error| {
        let code = error.downcast_ref::<Status>().map(Status::code);
        matches!(code, Some(Code::Unavailable | Code::Aborted | Code::DeadlineExceeded))
    };
    let tried = testbed::wait_until(what, RETRIED, || match call() {
        Err(error) if again(&error) => {
            eprintln!("not {what} yet: {error}");
            Ok(None)
        }
        other => Ok(Some(other)),
    });
    tried.unwrap().unwrap()
}
