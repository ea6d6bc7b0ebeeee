//! Volumes whose target takes their writes and stays silent: what hangs in the kernel is theirs alone.

use std::thread;
use std::time::{Duration, Instant};

use microvm::{Kernel, MIB};
use scenarios::{Attached, Made, Node, Shape, System};
use tonic::{Code, Status};

use super::{pod, shared, wait_until};

/// What a call on a silent target is given: a healthy one needs a few seconds in a guest.
const PATIENCE: Duration = Duration::from_secs(20);
/// What was held is written within seconds of its release.
const RELEASE: Duration = Duration::from_secs(120);
/// One batch of healthy volumes beside what hangs may take twice as long as without, and a slow machine's noise more.
const NOISE: Duration = Duration::from_secs(15);

/// What a volume hangs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Mkfs,
    Sync,
    Mount,
}

impl Where {
    const ALL: [Self; 3] = [Self::Mkfs, Self::Sync, Self::Mount];

    fn operation(self) -> &'static str {
        match self {
            Self::Mkfs => "mkfs",
            Self::Sync => "sync",
            Self::Mount => "mount",
        }
    }
}

/// A volume that is about to hang.
struct Hanging<'a> {
    system: &'a System,
    made: Made,
    attached: Attached,
    at: Where,
    /// The device on the RDS by which its writes are held.
    device: String,
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
    eprintln!("{} volumes at once: {usual:.1?}, beside {hung} that hang: {beside:.1?}", healthy.len());
    assert!(beside < usual * 2 + NOISE);
    // The retry joins what runs; it never starts a second.
    refused_in_time(&hanging);
    assert_named(node, &hanging);

    hanging.iter().for_each(Hanging::is_served_once_the_target_answers);
    wait_until(&node.guest, &format!("{METRICS} | grep -q '^rds_csi_stuck_helpers 0$'"), RELEASE);
    for (made, _) in &healthy {
        system.csi().detach(made, "a").unwrap();
        system.csi().delete(&made.volume.volume_id).unwrap();
    }
}

fn attach(system: &System, number: usize, mib: u64, shape: &Shape) -> (Made, Attached) {
    let made = system.create(&format!("many-{number}"), mib * MIB, shape).unwrap();
    let attached = system.csi().attach(&made, "a").unwrap();
    (made, attached)
}

/// Mounts and unmounts all volumes side by side; how long that took.
fn all_at_once(node: &Node, volumes: &[(Made, Attached)]) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        for (made, attached) in volumes {
            scope.spawn(|| {
                pod::mount(node, made, attached);
                pod::unmount(node, made);
            });
        }
    });
    start.elapsed()
}

const METRICS: &str = "wget -q -O - http://127.0.0.1:9809/metrics";

/// Every helper that hangs is counted and named, and is in uninterruptible sleep.
fn assert_named(node: &Node, hanging: &[Hanging<'_>]) {
    let count = hanging.len();
    let metrics = node.guest.sh(&format!("{METRICS} | grep ^rds_csi_stuck")).unwrap() + "\n";
    assert!(metrics.contains(&format!("rds_csi_stuck_helpers {count}\n")), "{metrics}");
    for one in hanging {
        let (id, operation) = (&one.made.volume.volume_id, one.at.operation());
        let name = format!(
            "rds_csi_stuck_helper{{volume_id=\"{id}\",operation=\"{operation}\",uninterruptible=\"true\"}} 1\n"
        );
        assert!(metrics.contains(&name), "no {name} in {metrics}");
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
                assert!(retriable.contains(&code), "{:?}: {refused}", one.at);
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
        let hanging = Self { system, made, attached, at, device: format!("held-{number}") };
        hanging.put_device_under();
        let node = system.node("a");
        match at {
            Where::Mkfs => {}
            Where::Sync => {
                let target = pod::mount(node, &hanging.made, &hanging.attached);
                node.guest.sh(&format!("echo unsynced > {target}/file")).unwrap();
                node.csi.unpublish(&hanging.made, &target).unwrap();
            }
            Where::Mount => {
                pod::mount(node, &hanging.made, &hanging.attached);
                pod::unmount(node, &hanging.made);
            }
        }
        hanging.hold_writes(Duration::from_secs(3600));
        node.guest.sh(&format!("mkdir -p {}", Node::staging(&hanging.made))).unwrap();
        hanging
    }

    fn put_device_under(&self) {
        let namespace =
            format!("/sys/kernel/config/nvmet/subsystems/{}/namespaces/1", self.attached.context["nvme_nqn"]);
        let device = &self.device;
        let line = format!(
            "modprobe dm_delay; loop=$(cat {namespace}/device_path) && size=$(blockdev --getsz $loop) && \
             dmsetup create {device} --table \"0 $size delay $loop 0 0 $loop 0 0\" && echo 0 > {namespace}/enable && \
             echo -n /dev/mapper/{device} > {namespace}/device_path && echo 1 > {namespace}/enable"
        );
        self.system.rds.guest.sh(&line).unwrap();
    }

    fn hold_writes(&self, time: Duration) {
        let (device, time) = (&self.device, time.as_millis());
        let line = format!(
            "table=$(dmsetup table {device}) && dmsetup load {device} --table \"${{table% *}} {time}\" && \
             dmsetup suspend --nolockfs --noflush {device} && dmsetup resume {device}"
        );
        self.system.rds.guest.sh(&line).unwrap();
    }

    /// The call that hangs.
    fn call(&self) -> Result<(), Status> {
        let csi = self.system.node("a").csi.within(PATIENCE);
        let staging = Node::staging(&self.made);
        match self.at {
            Where::Mkfs | Where::Mount => csi.stage(&self.made, &self.attached, &staging),
            Where::Sync => csi.unstage(&self.made, &staging),
        }
    }

    /// The same call succeeds, and nothing was lost or done twice.
    fn is_served_once_the_target_answers(&self) {
        let (system, node) = (self.system, self.system.node("a"));
        self.hold_writes(Duration::ZERO);
        match self.at {
            Where::Sync => node.csi.unstage(&self.made, &Node::staging(&self.made)).unwrap(),
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
        wait_until(&system.rds.guest, &format!("dmsetup remove {}", self.device), RELEASE);
        system.csi().delete(&self.made.volume.volume_id).unwrap();
    }
}
