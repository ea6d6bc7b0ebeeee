//! Power cuts and reboots.

use std::time::{Duration, Instant};

use microvm::{Error, Kernel, Lab, MIB};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn a_killed_guest_boots_again_with_its_disks(kernel: Kernel) {
    let lab = Lab::new(kernel).unwrap();
    let guest = lab.guest("one").disk("data", 64 * MIB).disk("other", 32 * MIB).boot().unwrap();
    assert_eq!(guest.sh("cat /sys/block/vdb/size /sys/block/vdb/serial").unwrap(), "65536\nother");
    guest.sh("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt && echo kept > /mnt/file && sync").unwrap();
    let before = guest.process_id().unwrap();
    let running = guest.spawn("sleep 1000").unwrap();

    guest.kill();
    assert_eq!(guest.process_id(), None);
    assert!(matches!(guest.run("true"), Err(Error::NotRunning(_))));
    assert!(matches!(running.wait(SOON), Err(Error::Agent { .. })));

    guest.boot_again().unwrap();
    assert_ne!(guest.process_id(), Some(before));
    assert_eq!(guest.sh("mount /dev/vda /mnt && cat /mnt/file").unwrap(), "kept");

    // A guest that ends by itself is as good as killed.
    assert!(matches!(guest.run("poweroff -f"), Err(Error::Agent { .. })));
    let deadline = Instant::now() + SOON;
    while guest.process_id().is_some() {
        assert!(Instant::now() < deadline, "QEMU outlives its guest");
    }
    assert!(matches!(guest.run("true"), Err(Error::NotRunning(_))));
    guest.boot_again().unwrap();
    assert_eq!(guest.sh("mount /dev/vda /mnt && cat /mnt/file").unwrap(), "kept");
}
