//! Root file systems of the guests' own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use microvm::{Kernel, Lab, MIB};

/// A system of busybox alone, in an image.
fn image(folder: &Path) -> PathBuf {
    let (tree, image) = (folder.join("tree"), folder.join("root.img"));
    for name in ["bin", "dev", "etc", "lib", "mnt", "proc", "run", "sbin", "sys", "tmp"] {
        fs::create_dir_all(tree.join(name)).unwrap();
    }
    fs::copy("/bin/busybox", tree.join("bin/busybox")).unwrap();
    for name in ["sh", "cat", "ls", "hostname", "lsmod"] {
        symlink("busybox", tree.join("bin").join(name)).unwrap();
    }
    fs::write(tree.join("etc/motd"), "the image's").unwrap();
    let made =
        Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).args([&tree, &image]).arg("32m").status();
    assert!(made.unwrap().success());
    image
}

pub(crate) fn guests_share_an_image_as_their_root_and_each_keeps_what_it_writes_over_a_power_cut(
    kernel: Kernel,
) {
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path());
    let lab = Lab::new(kernel).unwrap();
    let given = lab.guest("one").root(&image).file("/etc/own/name", 0o600, "one");
    let [one, two] =
        lab.boot([given.disk("data", MIB).module("dummy"), lab.guest("two").root(&image)]).unwrap();

    // What it was given lies beside what the image has; its own disk is the first.
    assert_eq!(one.sh("cat /etc/motd /etc/own/name; hostname").unwrap(), "the image'soneone");
    assert_eq!(one.sh("cat /sys/block/vda/serial /sys/block/vdb/serial").unwrap(), "dataroot");
    assert!(one.sh("lsmod").unwrap().contains("dummy"));
    assert!(!two.sh("lsmod").unwrap().contains("dummy"));

    one.sh("echo changed > /etc/motd && sync").unwrap();
    assert_eq!(two.sh("cat /etc/motd").unwrap(), "the image's");
    // The cache may make way for a newer image meanwhile.
    fs::remove_file(&image).unwrap();
    for guest in [&one, &two] {
        guest.kill();
        guest.boot_again().unwrap();
    }
    assert_eq!(one.sh("cat /etc/motd").unwrap(), "changed");
    assert_eq!(two.sh("cat /etc/motd").unwrap(), "the image's");
}
