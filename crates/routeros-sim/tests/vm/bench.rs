//! Two guests: `rds` runs the simulator on a file system of its own disk, `node` is a host.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use microvm::{Background, Forward, GIB, Guest, Kernel, Lab};

/// Emulated processors are slow: how long anything may take to become so.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) struct Bench {
    pub(crate) rds: Guest,
    pub(crate) node: Guest,
    rest: Forward,
    control: Forward,
    _lab: Lab,
}

impl Bench {
    pub(crate) fn boot(kernel: Kernel) -> Self {
        let lab = Lab::new(kernel).unwrap();
        let rds =
            lab.guest("rds").disk("pool", GIB).binary(env!("CARGO_BIN_EXE_rds-sim"), "/usr/bin/rds-sim");
        let [rds, node] = lab.boot([rds, lab.guest("node")]).unwrap();
        rds.sh("mkfs.ext4 -q /dev/vda && mkdir -p /state && mount /dev/vda /state").unwrap();
        let (rest, control) = (rds.forward_tcp(80).unwrap(), rds.forward_tcp(81).unwrap());
        Self { rds, node, rest, control, _lab: lab }
    }

    /// Starts the simulator and waits until it serves.
    pub(crate) fn simulator(&self, assumptions: &[&str]) -> Background {
        let assume: String = assumptions.iter().map(|each| format!(" --assume {each}")).collect();
        let address = self.rds.address();
        let line = format!(
            "rds-sim --state /state --http 127.0.0.1:80 --control 127.0.0.1:81 --data-plane nvmet --data-address {address}{assume}"
        );
        let simulator = self.rds.spawn(&line).unwrap();
        simulator.wait_for_stdout("\"http\"", PATIENCE).unwrap();
        simulator
    }

    /// A REST request; the answer must be a success.
    pub(crate) fn rest(&self, method: &str, path: &str, body: &str) -> String {
        exchange(&self.rest, method, path, body)
    }

    /// A request on the control port.
    pub(crate) fn control(&self, path: &str, body: &str) -> String {
        exchange(&self.control, "POST", path, body)
    }

    /// Changes the disk `v`.
    pub(crate) fn set(&self, properties: &str) {
        self.rest("POST", "/rest/disk/set", &format!(r#"{{"numbers":"v",{properties}}}"#));
    }

    /// Connects the node by the kernel's own interface; a failure is the kernel's last words.
    pub(crate) fn connect(&self, nqn: &str, host: &str) -> Result<(), String> {
        let address = self.rds.address();
        let options = format!(
            "transport=tcp,traddr={address},trsvcid=4420,nqn={nqn},hostnqn={host},\
             hostid=4f3f1a7e-5a51-4d5e-9a55-0d2d4f0b6c11,reconnect_delay=1,ctrl_loss_tmo=600,keep_alive_tmo=30"
        );
        let output = self.node.run(&format!("echo -n '{options}' > /dev/nvme-fabrics")).unwrap();
        // The shell says "I/O error" of everything; the kernel knows better.
        if output.success() { Ok(()) } else { Err(self.node.sh("dmesg | tail -n 3").unwrap()) }
    }

    /// What the node's kernel says of its only controller: `live`, `connecting`, or nothing.
    pub(crate) fn controller(&self) -> String {
        self.node.sh("cat /sys/class/nvme/*/state 2>/dev/null || true").unwrap()
    }

    /// Bytes of the node's only namespace, 0 where there is none.
    pub(crate) fn size(&self) -> u64 {
        let sectors = self.node.sh("cat /sys/block/nvme[0-9]n1/size 2>/dev/null || echo 0").unwrap();
        sectors.trim().parse::<u64>().unwrap() * 512
    }

    /// Whether the device has no loop device, without an open of any: one that is open is detached later.
    pub(crate) fn has_no_loops(&self) -> bool {
        self.rds.sh("cat /sys/block/loop*/loop/backing_file 2>/dev/null; true").unwrap().is_empty()
    }

    pub(crate) fn disconnect(&self) {
        self.node.sh("for c in /sys/class/nvme/*/delete_controller; do echo 1 > $c; done").unwrap();
        self.until("the controller is gone", || self.controller().is_empty());
    }

    /// Waits for a condition.
    pub(crate) fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "never: {what}");
            std::thread::sleep(LOOK);
        }
    }
}

fn exchange(to: &Forward, method: &str, path: &str, body: &str) -> String {
    let json = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: rds\r\nauthorization: Basic YWRtaW46YWRtaW4=\r\n{json}\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(to.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
    answer
}
