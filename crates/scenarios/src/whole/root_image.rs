//! The root file system of a node: Debian, containerd, CNI plugins, the kubelet and the images of the tests' pods.

use std::path::PathBuf;

use anyhow::Result;
use microvm::{GIB, RootImage};
use testbed::Tools;

use super::container_image::{BUSYBOX, ContainerImage, PAUSE};

/// Where container images lie in it.
const IMAGES: &str = "/var/lib/images";
/// Gives them to containerd.
pub(super) const IMPORT: &str =
    "set -e; for image in /var/lib/images/*.tar; do ctr -n k8s.io images import --local $image; done";
/// A third is used; the rest is for containers, logs and the images' contents.
const BYTES: u64 = 3 * GIB;
/// What kubelet, containerd and a driver on the host's side of a node use.
const PACKAGES: [&str; 6] = ["e2fsprogs", "iproute2", "iptables", "procps", "runc", "xfsprogs"];
/// Programs of the cache, and where they go.
const PROGRAMS: [(&str, &str); 7] = [
    ("kubelet", "/usr/bin"),
    ("containerd", "/usr/bin"),
    ("containerd-shim-runc-v2", "/usr/bin"),
    ("ctr", "/usr/bin"),
    ("bridge", "/opt/cni/bin"),
    ("host-local", "/opt/cni/bin"),
    ("loopback", "/opt/cni/bin"),
];

/// Its path: made where the cache does not have it.
pub(super) fn make(tools: &Tools) -> Result<PathBuf> {
    let mut image = RootImage::new("node", BYTES).packages(&PACKAGES);
    for (name, folder) in PROGRAMS {
        image = image.file(tools.program(name)?, &format!("{folder}/{name}"));
    }
    for (file, name) in [("pause", PAUSE), ("busybox", BUSYBOX)] {
        image = image.content(&format!("{IMAGES}/{file}.tar"), ContainerImage::shell(name).archive()?);
    }
    Ok(image.make()?)
}
