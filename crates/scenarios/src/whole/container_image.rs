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

/// An image with the shell of busybox and what belongs to it. Alone it sleeps; with a program it is that program.
#[derive(Clone, Debug)]
pub struct ContainerImage<'a> {
    names: Vec<&'a str>,
    /// Its path on this machine and in the image, and its arguments where a pod has none.
    program: Option<(&'a Path, &'a str, &'a [&'a str])>,
    /// Programs of this machine in the place of busybox's of their names.
    instead: Vec<&'a Path>,
}

impl<'a> ContainerImage<'a> {
    /// One that sleeps, under a name with a tag.
    #[must_use]
    pub fn shell(name: &'a str) -> Self {
        Self { names: vec![name], program: None, instead: Vec::new() }
    }

    /// The same under another name as well.
    #[must_use]
    pub fn also(mut self, name: &'a str) -> Self {
        self.names.push(name);
        self
    }

    /// With a program of this machine, and its shared libraries, in the place of busybox's of that name.
    #[must_use]
    pub fn with(mut self, program: &'a Path) -> Self {
        self.instead.push(program);
        self
    }

    /// With a static program of this machine, at a path of the image, as its entry point; with its arguments where a
    /// pod has none.
    #[must_use]
    pub fn running(self, program: &'a Path, path: &'a str, arguments: &'a [&'a str]) -> Self {
        Self { program: Some((program, path, arguments)), ..self }
    }

    /// An OCI archive of it: the same bytes for the same programs.
    ///
    /// # Errors
    /// Where the host has no busybox, no tar or not the program.
    pub fn archive(&self) -> Result<Vec<u8>> {
        let root = tempfile::tempdir()?;
        busybox_in(root.path())?;
        for program in &self.instead {
            put_instead(root.path(), program)?;
        }
        let Some((program, path, arguments)) = self.program else {
            let config = json!({ "Cmd": ["/bin/busybox", "sleep", FOR_EVER], "Env": ["PATH=/bin"] });
            return archive(&self.names, &tar(root.path())?, &config);
        };
        fs::copy(program, root.path().join(path.trim_start_matches('/')))
            .with_context(|| program.display().to_string())?;
        let config = json!({ "Entrypoint": [path], "Cmd": arguments, "Env": ["PATH=/bin"] });
        archive(&self.names, &tar(root.path())?, &config)
    }
}

/// Fills the root of an image: busybox under its names, and the folders that containers expect.
fn busybox_in(root: &Path) -> Result<()> {
    let bin = root.join("bin");
    fs::create_dir(&bin)?;
    for folder in ["dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir(root.join(folder))?;
    }
    fs::copy(PROGRAM, bin.join("busybox")).context(PROGRAM)?;
    for applet in String::from_utf8(output(Command::new(PROGRAM).arg("--list"))?)?.lines() {
        if applet != "busybox" {
            symlink("busybox", bin.join(applet))?;
        }
    }
    Ok(())
}

/// Puts a program where busybox's of its name was, and its libraries where it looks for them.
fn put_instead(root: &Path, program: &Path) -> Result<()> {
    let place = root.join("bin").join(program.file_name().context("a program has a name")?);
    fs::remove_file(&place).with_context(|| format!("busybox has no {}", program.display()))?;
    fs::copy(program, place).with_context(|| program.display().to_string())?;
    for library in microvm::libraries_of(&[program])? {
        let place = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(place.parent().context("a library has a folder")?)?;
        fs::copy(library, place)?;
    }
    Ok(())
}

/// An OCI archive with one image of one layer, under its names (OCI image specification 1.1, image layout).
fn archive(names: &[&str], layer: &[u8], config: &Value) -> Result<Vec<u8>> {
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
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": { "type": "layers", "diff_ids": [layer_blob["digest"]] },
    });
    let config = blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": [layer_blob] });
    let manifest = blob(manifest_type, manifest.to_string().as_bytes())?;
    let named = |name: &&str| {
        let mut manifest = manifest.clone();
        // How containerd learns the image's name.
        manifest["annotations"] = json!({ "io.containerd.image.name": name });
        manifest
    };
    let index = json!({ "schemaVersion": 2, "manifests": names.iter().map(named).collect::<Vec<_>>() });
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
