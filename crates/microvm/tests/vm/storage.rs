//! NVMe/TCP between two guests, by the shell alone: all that the driver's tests need of the kernel is there.

use microvm::{GIB, Kernel, Lab};

/// A loop device over an image on ext4, with direct I/O and 512-byte blocks, exported under one NQN.
const EXPORT: &str = r"set -e
mkfs.ext4 -q /dev/vda; mkdir -p /pool; mount /dev/vda /pool
truncate -s 512M /pool/volume.img
loop=$(losetup --find --show --direct-io=on --sector-size 512 /pool/volume.img)
cd /sys/kernel/config/nvmet
mkdir subsystems/nqn.test:volume hosts/nqn.test:node ports/1
echo 0 > subsystems/nqn.test:volume/attr_allow_any_host
ln -s ../../../hosts/nqn.test:node subsystems/nqn.test:volume/allowed_hosts/nqn.test:node 2>/dev/null ||
  ln -s $PWD/hosts/nqn.test:node subsystems/nqn.test:volume/allowed_hosts/
mkdir subsystems/nqn.test:volume/namespaces/1
echo $loop > subsystems/nqn.test:volume/namespaces/1/device_path
echo 1 > subsystems/nqn.test:volume/namespaces/1/enable
echo tcp > ports/1/addr_trtype; echo ipv4 > ports/1/addr_adrfam
echo $ADDRESS > ports/1/addr_traddr; echo 4420 > ports/1/addr_trsvcid
ln -s $PWD/subsystems/nqn.test:volume ports/1/subsystems/
cat /sys/block/${loop#/dev/}/loop/dio
";

/// Connects, and waits for the block device.
const CONNECT: &str = r#"set -e
echo "transport=tcp,traddr=$TARGET,trsvcid=4420,nqn=nqn.test:volume,hostnqn=$HOST,hostid=$HOST_ID" > /dev/nvme-fabrics
until [ -b /dev/nvme0n1 ]; do usleep 10000; done
"#;

pub(crate) fn one_guest_writes_to_a_disk_of_the_other_over_nvme_tcp(kernel: Kernel) {
    let lab = Lab::new(kernel).unwrap();
    let [target, node] = lab.boot([lab.guest("target").disk("pool", GIB), lab.guest("node")]).unwrap();
    let address = target.address().to_string();
    let exported = target.command(EXPORT).env("ADDRESS", &address).run().unwrap();
    assert!(exported.success() && exported.stdout_text() == "1\n", "{exported}");

    let connect = |host: &str, id: &str| {
        let command = node.command(CONNECT).env("TARGET", &address).env("HOST", host).env("HOST_ID", id);
        command.run().unwrap()
    };
    assert!(!connect("nqn.test:stranger", "00000000-0000-4000-8000-000000000001").success());
    let connected = connect("nqn.test:node", "00000000-0000-4000-8000-000000000002");
    assert!(connected.success(), "{connected}");
    assert_eq!(node.sh("cat /sys/block/nvme0n1/queue/logical_block_size").unwrap(), "512");

    for make in ["mkfs.ext4 -q", "mkfs.xfs -q -f"] {
        node.sh(&format!("{make} /dev/nvme0n1 && mount /dev/nvme0n1 /mnt")).unwrap();
        node.sh("dd if=/dev/urandom of=/mnt/file bs=1M count=4 2>&1 && cp /mnt/file /tmp/").unwrap();
        node.sh("umount /mnt && echo 3 > /proc/sys/vm/drop_caches && mount /dev/nvme0n1 /mnt").unwrap();
        node.sh("cmp /mnt/file /tmp/file && umount /mnt").unwrap();
    }
    slow_and_encrypted_devices_can_be_made(&target);
}

/// The device mapper's targets that tests put under a backing device.
fn slow_and_encrypted_devices_can_be_made(guest: &microvm::Guest) {
    guest.sh("truncate -s 16M /pool/small.img && losetup /dev/loop7 /pool/small.img").unwrap();
    guest.sh("dmsetup create slow --table '0 32768 delay /dev/loop7 0 200'").unwrap();
    guest
        .sh("dd if=/dev/zero of=/dev/mapper/slow bs=4k count=1 oflag=direct && dmsetup remove slow")
        .unwrap();
    guest.sh("for module in btrfs dm_flakey dm_crypt overlay; do modprobe $module || exit; done").unwrap();
}
