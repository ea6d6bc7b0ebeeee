//! Container images made here, as OCI archives: nothing is ever pulled.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The image of a pod's first container, which holds its namespaces.
pub(super) const PAUSE: &str = "localhost/pause:1";
/// The image of the tests' own pods: a shell and what belongs to it.
pub const BUSYBOX: &str = "localhost/busybox:1";

/// The host's busybox, which is static.
const PROGRAM: &str = "/bin/busybox";
/// Longer than any pod lives.
const FOR_EVER: &str = "2147483647";

/// An image of busybox under its names, as an OCI archive: the same bytes for the same busybox.
///
/// # Errors
/// Where the host has no busybox or no tar.
pub(super) fn busybox(name: &str) -> Result<Vec<u8>> {
    let root = tempfile::tempdir()?;
    let bin = root.path().join("bin");
    fs::create_dir(&bin)?;
    for folder in ["dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir(root.path().join(folder))?;
    }
    fs::copy(PROGRAM, bin.join("busybox")).context(PROGRAM)?;
    for applet in String::from_utf8(output(Command::new(PROGRAM).arg("--list"))?)?.lines() {
        if applet != "busybox" {
            symlink("busybox", bin.join(applet))?;
        }
    }
    archive(name, &tar(root.path())?, &["/bin/busybox", "sleep", FOR_EVER])
}

/// An OCI archive with one image of one layer (OCI image specification 1.1, image layout).
fn archive(name: &str, layer: &[u8], command: &[&str]) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let blobs = folder.path().join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let blob = |media_type: &str, bytes: &[u8]| -> Result<Value> {
        let digest = hex(bytes);
        fs::write(blobs.join(&digest), bytes)?;
        Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() }))
    };
    let layer_blob = blob("application/vnd.oci.image.layer.v1.tar", layer)?;
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Cmd": command, "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [layer_blob["digest"]] },
    });
    let config = blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": [layer_blob] });
    let mut manifest = blob(manifest_type, manifest.to_string().as_bytes())?;
    // How containerd learns the image's name.
    manifest["annotations"] = json!({ "io.containerd.image.name": name });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(folder.path().join("index.json"), index.to_string())?;
    fs::write(folder.path().join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
    tar(folder.path())
}

/// A folder as an archive that depends on names and contents alone.
fn tar(folder: &Path) -> Result<Vec<u8>> {
    let plain =
        ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rwX,go+rX"];
    output(Command::new("tar").args(plain).arg("-C").arg(folder).args(["-cf", "-", "."]))
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
