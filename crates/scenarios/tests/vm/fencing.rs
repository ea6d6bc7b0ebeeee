//! A node that is detached while it still writes.

use std::time::Duration;

use microvm::{Kernel, MIB};
use scenarios::Shape;

use super::{on_each_kernel, shared, wait_until};

on_each_kernel!(nothing_of_a_detached_node_lands_after_the_next_one_has_started);

/// Writes numbered 4 KiB records to the start of a device, past the page cache, for ever.
const WRITER: &str = "i=0; while :; do i=$((i+1)); { printf 'a-%010d' $i; head -c 4084 /dev/zero; } \
                      | dd of=$TARGET bs=4096 count=1 iflag=fullblock oflag=direct conv=notrunc 2>/dev/null; echo $i; done";

fn nothing_of_a_detached_node_lands_after_the_next_one_has_started(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let (a, b) = (system.node("a"), system.node("b"));
    let made = system.create("fenced", 64 * MIB, &Shape::block()).unwrap();
    let (old, target) = system.start_pod(&made, "a").unwrap();
    let writer = a.guest.command(WRITER).env("TARGET", &target).spawn().unwrap();
    writer.wait_for_stdout("\n5\n", Duration::from_secs(30)).unwrap();

    system.csi().detach(&made, "a").unwrap();
    assert_eq!(system.rds.exports().unwrap(), [""; 0], "unpublish closes the export under the writer");
    let (new, target_b) = system.start_pod(&made, "b").unwrap();
    assert_ne!(old.context["nvme_nqn"], new.context["nvme_nqn"]);
    let read = format!("dd if={target_b} bs=4096 count=1 iflag=direct 2>/dev/null | head -c 12");
    let first = b.guest.sh(&read).unwrap();
    assert!(first.starts_with("a-"), "the last record of a is there: {first:?}");

    // Node a tries again every 5 s (reconnect_delay) and is refused; on 6.12 its controller is then gone.
    let refused = "dmesg | grep -q -e 'Connect.*Invalid' -e 'failed to connect' -e 'Failed reconnect' -e 'Removing ctrl'";
    wait_until(&a.guest, refused, Duration::from_secs(60));
    let live = a.guest.sh("grep -l live /sys/class/nvme/*/state 2>/dev/null; true").unwrap();
    assert_eq!(live, "", "no session of a is live");
    assert_eq!(b.guest.sh(&read).unwrap(), first, "nothing of a landed since b started");

    let mark = format!(
        "{{ printf 'b-is-here'; head -c 4087 /dev/zero; }} | dd of={target_b} bs=4096 count=1 iflag=fullblock oflag=direct conv=notrunc"
    );
    b.guest.sh(&mark).unwrap();
    assert!(b.guest.sh(&read).unwrap().starts_with("b-is-here"));
    drop(writer);
    system.end_pod(&made, "b").unwrap();
    system.csi().delete(&made.volume.volume_id).unwrap();
    a.reboot().unwrap();
    a.unmount(&made).unwrap();
}
