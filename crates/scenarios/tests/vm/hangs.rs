//! Volumes whose target takes their writes and stays silent: what hangs in the kernel is theirs alone.

use std::thread;
use std::time::{Duration, Instant};

use microvm::{Kernel, MIB};
use scenarios::{Attached, Made, Node, Shape, System};
use tonic::{Code, Status};

use super::backing::Backing;
use super::silent::Silent;
use super::{pod, shared, wait_until};

/// What a call on a silent target is given: a healthy one needs a few seconds in a guest.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How late writes are while an unmount begins: it makes some, one after the other.
const LATE: Duration = Duration::from_secs(3);
/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// What was held is written within seconds of its release.
pub(crate) const RELEASE: Duration = Duration::from_secs(120);
/// One batch of healthy volumes beside what hangs may take twice as long as without, and a slow machine's noise more.
pub(crate) const NOISE: Duration = Duration::from_secs(15);

/// What a volume hangs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Mkfs,
    Sync,
    Mount,
    Unmount,
}

impl Where {
    const ALL: [Self; 4] = [Self::Mkfs, Self::Sync, Self::Mount, Self::Unmount];

    /// What the driver calls it. A file system whose path was reset meanwhile is asked whether it still writes, and then
    /// hangs in that.
    fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Mkfs => &["mkfs"],
            Self::Sync => &["sync", "check"],
            Self::Mount => &["mount"],
            Self::Unmount => &["unmount"],
        }
    }
}

/// A volume that is about to hang.
struct Hanging<'a> {
    system: &'a System,
    made: Made,
    attached: Attached,
    at: Where,
    /// By which its writes are held.
    backing: Backing<'a>,
}

/// `hung` of so many volumes hang in D, in different operations; the others are staged, published, unpublished and
/// unstaged, all at once, with them and without.
pub(crate) fn some_hang(kernel: Kernel, volumes: usize, hung: usize) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let node = system.node("a");
    let healthy: Vec<_> = (hung..volumes).map(|number| attach(system, number, 64, &Shape::block())).collect();
    let usual = all_at_once(node, &healthy);
    let hanging: Vec<_> = (0..hung).map(|number| Hanging::prepare(system, number)).collect();

    refused_in_time(&hanging);
    assert_named(node, &hanging);
    let beside = all_at_once(node, &healthy);
    let silent = Silent::listen(system, volumes);
    let beside_a_silent_one_too = thread::scope(|scope| {
        scope.spawn(|| silent.is_refused_in_time());
        all_at_once(node, &healthy)
    });
    silent.end();
    // The retry joins what runs; it never starts a second.
    refused_in_time(&hanging);
    assert_named(node, &hanging);

    hanging.into_iter().for_each(Hanging::end_once_the_target_answers);
    wait_until(&node.guest, &format!("{METRICS} | grep -q '^rds_csi_stuck_helpers 0$'"), RELEASE);
    // Twice, since other work on this machine comes and goes.
    let again = all_at_once(node, &healthy);
    eprintln!(
        "{} volumes at once: {usual:.1?} and {again:.1?}, beside {hung} that hang: {beside:.1?}, and a target that is \
         silent: {beside_a_silent_one_too:.1?}",
        healthy.len()
    );
    assert!(beside.max(beside_a_silent_one_too) < usual.max(again) * 2 + NOISE);
    for (made, _) in &healthy {
        system.csi().detach(made, "a").unwrap();
        system.csi().delete(&made.volume.volume_id).unwrap();
    }
}

pub(crate) fn attach(system: &System, number: usize, mib: u64, shape: &Shape) -> (Made, Attached) {
    let made = system.create(&format!("many-{number}"), mib * MIB, shape).unwrap();
    let attached = system.csi().attach(&made, "a").unwrap();
    (made, attached)
}

/// Mounts and unmounts all volumes side by side; how long that took.
fn all_at_once(node: &Node, volumes: &[(Made, Attached)]) -> Duration {
    node.make_directories(volumes.iter().map(|(made, _)| made)).unwrap();
    // QEMU's forwarded ports reset some of so many connections that are made at once.
    let csi = node.csi.over_one_connection();
    let start = Instant::now();
    thread::scope(|scope| {
        for (made, attached) in volumes {
            let (csi, staging, target) = (&csi, Node::staging(made), Node::target(made));
            scope.spawn(move || {
                pod::retried("staged", || Ok(csi.stage(made, attached, &staging)?));
                pod::retried("published", || Ok(csi.publish(made, attached, &staging, &target)?));
                pod::retried("unpublished", || Ok(csi.unpublish(made, &target)?));
                pod::retried("unstaged", || Ok(csi.unstage(made, &staging)?));
            });
        }
    });
    start.elapsed()
}

pub(crate) const METRICS: &str = "wget -q -O - http://127.0.0.1:9809/metrics";

/// Every helper that hangs is counted and named, and is in uninterruptible sleep.
fn assert_named(node: &Node, hanging: &[Hanging<'_>]) {
    let count = hanging.len();
    let metrics = node.guest.sh(&format!("{METRICS} | grep ^rds_csi_stuck")).unwrap() + "\n";
    assert!(metrics.contains(&format!("rds_csi_stuck_helpers {count}\n")), "{metrics}");
    for one in hanging {
        let id = &one.made.volume.volume_id;
        let is_named = |operation: &&str| {
            let labels = format!("volume_id=\"{id}\",operation=\"{operation}\",uninterruptible=\"true\"");
            metrics.contains(&format!("rds_csi_stuck_helper{{{labels}}} 1\n"))
        };
        assert!(one.at.operations().iter().any(is_named), "{:?} of {id}: {metrics}", one.at);
    }
}

/// All calls are answered in time, with a code that the kubelet tries again.
fn refused_in_time(hanging: &[Hanging<'_>]) {
    let start = Instant::now();
    thread::scope(|scope| {
        for one in hanging {
            scope.spawn(|| {
                let refused = one.call().unwrap_err();
                let code = refused.code();
                let retriable = [Code::Unavailable, Code::Aborted, Code::DeadlineExceeded];
                let log = || one.system.node("a").log();
                assert!(retriable.contains(&code), "{:?}: {refused}\n{}", one.at, log());
                assert!(refused.message().contains("state D"), "{:?}: it says why: {refused}", one.at);
                eprintln!("{:?} hangs: {:?} {}", one.at, code, refused.message());
            });
        }
    });
    assert!(start.elapsed() < PATIENCE + NOISE, "{:?}", start.elapsed());
}

impl<'a> Hanging<'a> {
    /// Puts a device under an export by which its writes can be held, and holds them where the volume shall hang.
    fn prepare(system: &'a System, number: usize) -> Self {
        let at = Where::ALL[number % Where::ALL.len()];
        // A marker is written before an ext4 is made, and would be what hangs.
        let (fs, mib) = if at == Where::Mkfs { ("xfs", 320) } else { ("ext4", 64) };
        let (made, attached) = attach(system, number, mib, &Shape::filesystem(fs));
        let backing = Backing::put_under(system, &attached, &format!("held-{number}"));
        let hanging = Self { system, made, attached, at, backing };
        let node = system.node("a");
        if at != Where::Mkfs {
            pod::mount(node, &hanging.made, &hanging.attached);
        }
        match at {
            Where::Mkfs => {}
            Where::Sync => {
                let target = Node::target(&hanging.made);
                node.guest.sh(&format!("echo unsynced > {target}/file")).unwrap();
                node.csi.unpublish(&hanging.made, &target).unwrap();
            }
            Where::Mount => pod::unmount(node, &hanging.made),
            Where::Unmount => hanging.hold_while_it_is_unmounted(node),
        }
        hanging.backing.hold_writes(FOR_EVER);
        node.guest.sh(&format!("mkdir -p {}", Node::staging(&hanging.made))).unwrap();
        hanging
    }

    /// An unmount takes the mount out of the table first, and writes then (node.md K4).
    fn hold_while_it_is_unmounted(&self, node: &Node) {
        let (target, staging) = (Node::target(&self.made), Node::staging(&self.made));
        node.csi.unpublish(&self.made, &target).unwrap();
        node.guest.sh(&format!("sync -f {staging}")).unwrap();
        self.backing.hold_writes(LATE);
        thread::scope(|scope| {
            let call = scope.spawn(|| node.csi.within(PATIENCE * 2).unstage(&self.made, &staging));
            wait_until(&node.guest, &format!("! grep -q {staging} /proc/self/mountinfo"), PATIENCE * 2);
            self.backing.hold_writes(FOR_EVER);
            let refused = call.join().unwrap().unwrap_err();
            eprintln!("unmounted while writes are held: {:?} {}", refused.code(), refused.message());
        });
    }

    /// The call that hangs.
    fn call(&self) -> Result<(), Status> {
        let csi = self.system.node("a").csi.within(PATIENCE);
        let staging = Node::staging(&self.made);
        match self.at {
            Where::Mkfs | Where::Mount => csi.stage(&self.made, &self.attached, &staging),
            Where::Sync | Where::Unmount => csi.unstage(&self.made, &staging),
        }
    }

    /// The same call succeeds, and nothing was lost or done twice.
    fn end_once_the_target_answers(self) {
        let (system, node) = (self.system, self.system.node("a"));
        self.backing.hold_writes(Duration::ZERO);
        match self.at {
            Where::Sync | Where::Unmount => {
                node.csi.unstage(&self.made, &Node::staging(&self.made)).unwrap();
            }
            Where::Mkfs | Where::Mount => {
                pod::mount(node, &self.made, &self.attached);
                pod::unmount(node, &self.made);
            }
        }
        pod::mount(node, &self.made, &self.attached);
        if self.at == Where::Sync {
            let file = format!("{}/file", Node::target(&self.made));
            assert_eq!(node.guest.sh(&format!("cat {file}")).unwrap(), "unsynced");
        }
        pod::end(system, &self.made, "a");
        // The simulator has taken its export down by now, and nothing else has the device.
        self.backing.remove();
        system.csi().delete(&self.made.volume.volume_id).unwrap();
    }
}
