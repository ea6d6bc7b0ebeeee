//! What must be true of real exports.

use microvm::Kernel;

use crate::bench::Bench;

const NQN: &str = "nqn.2000-02.com.mikrotik:v";
const HOST: &str = "nqn.2014-08.org.nvmexpress:uuid:4f3f1a7e-5a51-4d5e-9a55-0d2d4f0b6c11";
const STRANGER: &str = "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-0000-0000-000000000001";

const MIB: u64 = 1 << 20;

pub(crate) fn whole_life(kernel: Kernel) {
    let bench = Bench::boot(kernel);
    let simulator = bench.simulator(&["unexport=drains"]);
    bench.rest(
        "PUT",
        "/rest/disk",
        r#"{"type":"file","slot":"v","file-path":"raid10/v.img","file-size":"67108864","mount-filesystem":"no"}"#,
    );
    export(&bench);

    assert!(bench.connect(NQN, STRANGER).is_err(), "a stranger is let in");
    bench.connect(NQN, HOST).unwrap();
    bench.until("the namespace is there", || bench.size() == 64 * MIB);
    assert_eq!(bench.node.sh("cat /sys/block/nvme*n1/queue/logical_block_size").unwrap().trim(), "512");
    let uuid = uuid(&bench);
    bench.node.sh("echo -n survives | dd of=$(ls /dev/nvme*n1) conv=fsync 2>/dev/null").unwrap();

    bench.rest("POST", "/rest/disk/set", r#"{"numbers":"v","file-size":"134217728"}"#);
    bench.node.sh("echo 1 > $(ls -d /sys/class/nvme/nvme*)/rescan_controller").unwrap();
    bench.until("the growth is seen", || bench.size() == 128 * MIB);

    bench.rest("POST", "/rest/disk/set", r#"{"numbers":"v","nvme-tcp-export":"no"}"#);
    bench.until("the session has ended", || bench.controller().trim() != "live");
    assert_eq!(bench.rds.sh("losetup -a").unwrap(), "", "a loop device is left");
    bench.disconnect();
    assert!(bench.connect(NQN, HOST).is_err(), "a closed export is reached");

    export(&bench);
    simulator.kill().unwrap();
    let _simulator = bench.simulator(&["unexport=drains"]);
    bench.connect(NQN, HOST).unwrap();
    bench.until("the namespace is back", || bench.size() == 128 * MIB);
    assert_eq!(self::uuid(&bench), uuid, "a persistent identity has changed");
    assert_eq!(bench.node.sh("head -c 8 $(ls /dev/nvme*n1)").unwrap(), "survives");
    bench.disconnect();
}

fn export(bench: &Bench) {
    let body = format!(
        r#"{{"numbers":"v","nvme-tcp-export":"yes","nvme-tcp-server-nqn":"{NQN}","nvme-tcp-server-allow-host-name":"{HOST}"}}"#
    );
    bench.rest("POST", "/rest/disk/set", &body);
}

fn uuid(bench: &Bench) -> String {
    bench.node.sh("cat /sys/block/nvme*n1/uuid").unwrap()
}
