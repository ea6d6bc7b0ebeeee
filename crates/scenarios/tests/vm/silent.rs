//! Targets that accept connections and stay silent: at once, or where the kernel has begun to connect.

use std::time::{Duration, Instant};

use microvm::{Background, Kernel};
use scenarios::{Attached, Made, Node, Shape, System};
use tonic::Code;

use super::hangs::{METRICS, NOISE, PATIENCE, RELEASE, attach};
use super::{pod, shared, wait_until};

/// Where the target listens that says nothing.
const SILENT: u16 = 4499;
/// Where the one listens that answers the first connection, and of the others only the first PDU.
const HALF: u16 = 4498;

/// A volume whose target accepts connections and says nothing: it is asked from user space first, so that no connect waits
/// for it in the kernel, where the next ones would wait behind it (node.md K10, rule 3).
pub(crate) struct Silent<'a> {
    system: &'a System,
    made: Made,
    attached: Attached,
    listener: Background,
}

impl<'a> Silent<'a> {
    pub(crate) fn listen(system: &'a System, number: usize) -> Self {
        let listener = system.rds.guest.spawn(&format!("exec nc -ll -p {SILENT} -e sleep 3600")).unwrap();
        wait_until(&system.rds.guest, &format!("netstat -ltn | grep -q :{SILENT}"), RELEASE);
        let (made, mut attached) = attach(system, number, 64, &Shape::block());
        attached.context.insert("nvme_port".into(), SILENT.to_string());
        Self { system, made, attached, listener }
    }

    pub(crate) fn is_refused_in_time(&self) {
        let (node, start) = (self.system.node("a"), Instant::now());
        let refused = node.csi.within(PATIENCE).stage(&self.made, &self.attached, &Node::staging(&self.made));
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        assert!(refused.message().contains("no answer in time"), "{refused}");
        assert!(start.elapsed() < PATIENCE + NOISE, "{:?}", start.elapsed());
    }

    pub(crate) fn end(self) {
        self.system.node("a").csi.unstage(&self.made, &Node::staging(&self.made)).unwrap();
        self.system.csi().detach(&self.made, "a").unwrap();
        self.system.csi().delete(&self.made.volume.volume_id).unwrap();
        self.listener.kill().unwrap();
    }
}

/// Passes its first connection on, which is the driver's question; of later ones the first PDU (an ICReq has 128 bytes).
const RELAY: &str = "#!/bin/sh\nif mkdir /tmp/first 2>/dev/null; then exec nc $TARGET; fi\n{ head -c 128; sleep 3600; } | nc $TARGET\n";

/// A target that answers the driver and not the kernel: the connect hangs in D for as long as the kernel waits (60 s), and
/// with it the kernel's mutex of all connects. Nothing else of the node does.
pub(crate) fn a_connect_hangs(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let node = system.node("a");
    let (here, _) = pod_on_a_block_volume(system, 1);
    let (other, other_attached) = attach(system, 2, 64, &Shape::block());
    let (held, mut held_attached) = attach(system, 3, 64, &Shape::block());
    held_attached.context.insert("nvme_port".into(), HALF.to_string());
    let relay = relay(system);

    let refused = node.csi.within(PATIENCE).stage(&held, &held_attached, &Node::staging(&held)).unwrap_err();
    eprintln!("connect hangs: {:?} {}", refused.code(), refused.message());
    assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused}");
    assert!(refused.message().contains("connect") && refused.message().contains("state D"), "{refused}");
    let labels =
        format!("volume_id=\"{}\",operation=\"connect\",uninterruptible=\"true\"", held.volume.volume_id);
    let metrics = node.guest.sh(METRICS).unwrap();
    assert!(metrics.contains(&format!("rds_csi_stuck_helper{{{labels}}} 1\n")), "{metrics}");

    let start = Instant::now();
    pod::unmount(node, &here);
    let unmounted = start.elapsed();
    assert!(unmounted < NOISE, "what is connected is let go as ever: {unmounted:?}");
    let turn = node.csi.within(Duration::from_secs(5)).stage(&other, &other_attached, &Node::staging(&other));
    let turn = turn.unwrap_err();
    assert!(turn.message().contains("take turns"), "{turn}");
    assert!([Code::Aborted, Code::Unavailable, Code::DeadlineExceeded].contains(&turn.code()), "{turn}");
    relay.kill().unwrap();
    pod::mount(node, &other, &other_attached);
    eprintln!(
        "unmounted beside it in {unmounted:.1?}; the next connect had its turn after {:.1?}",
        start.elapsed()
    );

    node.csi.unstage(&held, &Node::staging(&held)).unwrap();
    pod::unmount(node, &other);
    assert_eq!(node.subsystems().unwrap(), [""; 0], "nothing is left");
    for made in [here, other, held] {
        system.csi().detach(&made, "a").unwrap();
        system.csi().delete(&made.volume.volume_id).unwrap();
    }
}

fn pod_on_a_block_volume(system: &System, number: usize) -> (Made, String) {
    let (made, attached) = attach(system, number, 64, &Shape::block());
    let target = pod::mount(system.node("a"), &made, &attached);
    (made, target)
}

fn relay(system: &System) -> Background {
    let guest = &system.rds.guest;
    let target = format!("{} 4420", guest.address());
    guest.write_file("/tmp/relay", 0o755, RELAY.replace("$TARGET", &target)).unwrap();
    let relay = guest.spawn(&format!("rm -rf /tmp/first; exec nc -ll -p {HALF} -e /tmp/relay")).unwrap();
    wait_until(guest, &format!("netstat -ltn | grep -q :{HALF}"), RELEASE);
    relay
}
