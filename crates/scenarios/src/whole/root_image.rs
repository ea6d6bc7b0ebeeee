//! The root file system of a node: Debian, containerd, CNI plugins, the kubelet, and in containerd's store every image
//! that pods have: nothing is ever pulled.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use microvm::{GIB, RootImage};
use testbed::Tools;

use super::chart::{DRIVER_IMAGE, SIDECARS, Sidecar};
use super::configuration::OCI_RUNTIME;
use super::container_image::{BUSYBOX, ContainerImage, PAUSE};
use super::container_store::{Archive, fill};
use crate::binaries::image as driver;

/// What the store is made of lies here, so that the image counts as another when it is; the node has none of it.
const INGREDIENTS: &str = "/var/lib/images";
/// The host's busybox, which is in the images.
const SHELL: &str = "/bin/busybox";
/// Half is used; the rest is for containers, logs and volumes that a test imports.
const BYTES: u64 = 4 * GIB;
/// What kubelet and containerd use. What the driver uses is in its image, and nowhere else.
const PACKAGES: [&str; 6] = ["crun", "e2fsprogs", "iproute2", "iptables", "procps", "xfsprogs"];
/// The script that [`OCI_RUNTIME`] is.
const OCI_RUNTIME_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/whole/oci-runtime.sh");
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
    for Sidecar { program, .. } in SIDECARS {
        image = image.file(tools.program(program)?, &ingredient(program));
    }
    image = image.file(OCI_RUNTIME_SCRIPT, OCI_RUNTIME);
    image = image.file(SHELL, &ingredient("busybox")).file(driver()?, &ingredient("rds-csi.oci.tar"));
    Ok(image.make_with(|root| store(tools, root).map_err(io::Error::other))?)
}

fn ingredient(name: &str) -> String {
    format!("{INGREDIENTS}/{name}")
}

/// Fills containerd's store with the images of the ingredients, which go.
fn store(tools: &Tools, root: &Path) -> Result<()> {
    let own = root.join(INGREDIENTS.trim_start_matches('/'));
    let images = tempfile::tempdir()?;
    let mut files = Vec::new();
    let mut made = |file: &str, image: &ContainerImage<'_>| -> Result<()> {
        let path = images.path().join(file);
        fs::write(&path, image.archive()?)?;
        files.push(path);
        Ok(())
    };
    made("pause", &ContainerImage::shell(PAUSE))?;
    made("busybox", &ContainerImage::shell(BUSYBOX))?;
    for sidecar in SIDECARS {
        let (program, path) = (own.join(sidecar.program), format!("/{}", sidecar.program));
        made(sidecar.program, &ContainerImage::shell(sidecar.image).running(&program, &path, &[]))?;
    }
    let mut archives: Vec<_> = files.iter().map(|file| Archive { file, repository: None }).collect();
    let driver = own.join("rds-csi.oci.tar");
    archives.push(Archive { file: &driver, repository: Some(DRIVER_IMAGE) });
    fill(tools, root, &archives)?;
    fs::remove_dir_all(&own).with_context(|| own.display().to_string())
}
