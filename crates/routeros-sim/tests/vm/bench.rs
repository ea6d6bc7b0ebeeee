//! Two guests: `rds` runs the simulator on a file system of its own disk, `node` is a host.

use std::time::{Duration, Instant};

use microvm::{Background, GIB, Guest, Kernel, Lab};

/// Emulated processors are slow: how long anything may take to become so.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) struct Bench {
    pub(crate) rds: Guest,
    pub(crate) node: Guest,
    _lab: Lab,
}

impl Bench {
    pub(crate) fn boot(kernel: Kernel) -> Self {
        let lab = Lab::new(kernel).unwrap();
        let rds =
            lab.guest("rds").disk("pool", GIB).binary(env!("CARGO_BIN_EXE_rds-sim"), "/usr/bin/rds-sim");
        let [rds, node] = lab.boot([rds, lab.guest("node")]).unwrap();
        rds.sh("mkfs.ext4 -q /dev/vda && mkdir -p /state && mount /dev/vda /state").unwrap();
        Self { rds, node, _lab: lab }
    }

    /// Starts the simulator and waits until it serves.
    pub(crate) fn simulator(&self, assumptions: &[&str]) -> Background {
        let assume: String = assumptions.iter().map(|each| format!(" --assume {each}")).collect();
        let address = self.rds.address();
        let line = format!(
            "rds-sim --state /state --http 127.0.0.1:80 --data-plane nvmet --data-address {address}{assume}"
        );
        let simulator = self.rds.spawn(&line).unwrap();
        simulator.wait_for_stdout("\"http\"", PATIENCE).unwrap();
        simulator
    }

    /// A REST request from the device itself; the answer must be a success.
    pub(crate) fn rest(&self, method: &str, path: &str, body: &str) -> String {
        let json = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: rds\r\nauthorization: Basic YWRtaW46YWRtaW4=\r\n{json}\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let command = self.rds.command("busybox nc 127.0.0.1 80").stdin(request.into_bytes());
        let answer = command.run().unwrap().stdout_text();
        assert!(answer.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        answer
    }

    /// Connects the node by the kernel's own interface.
    pub(crate) fn connect(&self, nqn: &str, host: &str) -> Result<(), String> {
        let address = self.rds.address();
        let options = format!(
            "transport=tcp,traddr={address},trsvcid=4420,nqn={nqn},hostnqn={host},\
             hostid=4f3f1a7e-5a51-4d5e-9a55-0d2d4f0b6c11,reconnect_delay=1,ctrl_loss_tmo=600,keep_alive_tmo=5"
        );
        let output = self.node.run(&format!("echo -n '{options}' > /dev/nvme-fabrics")).unwrap();
        if output.success() { Ok(()) } else { Err(output.stderr_text()) }
    }

    /// What the node's kernel says of its only controller: `live`, `connecting`, or nothing.
    pub(crate) fn controller(&self) -> String {
        self.node.sh("cat /sys/class/nvme/*/state 2>/dev/null || true").unwrap()
    }

    /// Bytes of the node's only namespace, 0 where there is none.
    pub(crate) fn size(&self) -> u64 {
        let sectors = self.node.sh("cat /sys/block/nvme*n1/size 2>/dev/null || echo 0").unwrap();
        sectors.trim().parse::<u64>().unwrap() * 512
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
