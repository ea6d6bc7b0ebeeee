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
    assert_eq!(bench.node.sh("cat /sys/block/nvme[0-9]n1/queue/logical_block_size").unwrap().trim(), "512");
    let uuid = uuid(&bench);
    bench.node.sh("echo -n survives | dd of=$(ls /dev/nvme*n1) conv=fsync 2>/dev/null").unwrap();

    bench.set(r#""file-size":"134217728""#);
    bench.node.sh("echo 1 > $(ls -d /sys/class/nvme/nvme*)/rescan_controller").unwrap();
    bench.until("the growth is seen", || bench.size() == 128 * MIB);

    bench.set(r#""nvme-tcp-export":"no""#);
    bench.until("the session has ended", || bench.controller().trim() != "live");
    assert!(bench.has_no_loops(), "a loop device is left");
    bench.disconnect();
    assert!(bench.connect(NQN, HOST).is_err(), "a closed export is reached");

    export(&bench);
    simulator.kill().unwrap();
    bench.until("the simulator is gone", || simulator.has_ended());
    let _simulator = bench.simulator(&["unexport=drains"]);
    bench.connect(NQN, HOST).unwrap();
    bench.until("the namespace is back", || bench.size() == 128 * MIB);
    assert_eq!(self::uuid(&bench), uuid, "a persistent identity has changed");
    assert_eq!(bench.node.sh("head -c 8 $(ls /dev/nvme*n1)").unwrap(), "survives");
    bench.disconnect();
}

/// Each assumption that the kernel has a part in, as a host meets it.
pub(crate) fn assumptions(kernel: Kernel) {
    let bench = Bench::boot(kernel);
    let _simulator = bench.simulator(&[]);
    bench.rest(
        "PUT",
        "/rest/disk",
        r#"{"type":"file","slot":"v","file-path":"raid10/v.img","file-size":"67108864","mount-filesystem":"no"}"#,
    );
    let assume = |name: &str, value: &str| {
        bench.control("/assumptions", &format!(r#"{{"{name}":"{value}"}}"#));
    };
    export(&bench);
    bench.connect(NQN, HOST).unwrap();
    bench.until("the namespace is there", || bench.size() == 64 * MIB);

    assume("growth", "announced");
    bench.set(r#""file-size":"134217728""#);
    bench.until("the growth is announced", || bench.size() == 128 * MIB);

    // A host that is left out keeps its session, unless sessions end.
    bench.set(&format!(r#""nvme-tcp-server-allow-host-name":"{STRANGER}""#));
    assert_eq!(bench.controller().trim(), "live");
    bench.set(&format!(r#""nvme-tcp-server-allow-host-name":"{HOST}""#));
    assume("allow-list", "one-ends-sessions");
    bench.set(&format!(r#""nvme-tcp-server-allow-host-name":"{STRANGER}""#));
    bench.until("the session has ended", || bench.controller().trim() != "live");
    bench.disconnect();
    bench.set(&format!(r#""nvme-tcp-server-allow-host-name":"{HOST}""#));
    bench.connect(NQN, HOST).unwrap();
    bench.until("the namespace is back", || bench.size() == 128 * MIB);

    assume("unexport", "leaves-live-sessions");
    bench.set(r#""nvme-tcp-export":"no""#);
    bench.node.sh("echo -n late | dd of=$(ls /dev/nvme*n1) conv=fsync 2>/dev/null").unwrap();
    bench.disconnect();
    assert!(bench.connect(NQN, HOST).is_err(), "a new session is let in");

    for (how, boot, refusal) in [
        ("returns-early", "exports-first", "failed to connect socket: -111"),
        ("disables-namespace-first", "listens-first", "Connect Invalid Data Parameter"),
    ] {
        assume("unexport", how);
        assume("boot", boot);
        export(&bench);
        bench.connect(NQN, HOST).unwrap();
        bench.set(r#""nvme-tcp-export":"no""#);
        bench.until("the session has ended", || bench.controller().trim() != "live");
        bench.disconnect();
        export(&bench);
        std::thread::scope(|scope| {
            let reboot = scope.spawn(|| bench.control("/reboot", r#"{"exports-millis":25000}"#));
            bench.until("the device boots", || bench.has_no_loops());
            bench.until("it refuses as assumed", || {
                bench.connect(NQN, HOST).is_err_and(|error| error.contains(refusal))
            });
            reboot.join().unwrap();
        });
        bench.connect(NQN, HOST).unwrap();
        bench.until("the namespace is back", || bench.size() == 128 * MIB);
        bench.disconnect();
    }
}

fn export(bench: &Bench) {
    bench.set(&format!(
        r#""nvme-tcp-export":"yes","nvme-tcp-server-nqn":"{NQN}","nvme-tcp-server-allow-host-name":"{HOST}""#
    ));
}

fn uuid(bench: &Bench) -> String {
    bench.node.sh("cat /sys/block/nvme[0-9]n1/uuid").unwrap()
}
