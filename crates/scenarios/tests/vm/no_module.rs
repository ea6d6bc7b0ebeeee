//! A node whose kernel has no NVMe over TCP: what an operator forgot.

use microvm::{Kernel, MIB};
use scenarios::{Node, Shape};

use super::{on_each_kernel, pod, shared};

on_each_kernel!(a_node_without_the_kernels_module_says_which_one_to_load);

/// Nothing is connected on the node; the kernel would load what it finds.
const TAKE_AWAY: &str = "for file in $(find /lib/modules/ -name 'nvme-tcp.ko*'); do mv $file $file.away; done; \
                         rmmod nvme_tcp && test -e /dev/nvme-fabrics";
const TAKE_ALL_AWAY: &str = "rmmod nvme_fabrics && test ! -e /dev/nvme-fabrics";
const BRING_BACK: &str = "for file in $(find /lib/modules/ -name 'nvme-tcp.ko*.away'); do mv $file ${file%.away}; done; \
                          modprobe nvme_tcp";

fn a_node_without_the_kernels_module_says_which_one_to_load(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let node = system.node("b");
    let made = system.create("no-module", 64 * MIB, &Shape::block()).unwrap();
    let attached = system.csi().attach(&made, "b").unwrap();
    for take_away in [TAKE_AWAY, TAKE_ALL_AWAY] {
        node.guest.sh(take_away).unwrap();
        let refused = node.csi.stage(&made, &attached, &Node::staging(&made)).unwrap_err();
        eprintln!("{:?}: {}", refused.code(), refused.message());
        assert!(refused.message().contains("the nvme_tcp module is not loaded"), "{refused}");
        assert!(refused.message().contains("modprobe nvme_tcp"), "{refused}");
    }
    node.guest.sh(BRING_BACK).unwrap();
    pod::mount(node, &made, &attached);
    pod::end(system, &made, "b");
    system.csi().delete(&made.volume.volume_id).unwrap();
}
