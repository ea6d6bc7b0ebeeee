//! containerd's store of a node, filled before the node is there: what an emulated processor needs a minute for takes this
//! machine seconds, once.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::{Launch, Tools};

/// Where containerd keeps images, in the root of a node.
const STORE: &str = "var/lib/containerd";
/// It starts within a second; a busy machine gets many times that.
const START: Duration = Duration::from_secs(60);
/// The namespace of the kubelet's images.
const NAMESPACE: &str = "k8s.io";

/// An OCI archive, and the name that its image gets where it does not say it itself.
pub(super) struct Archive<'a> {
    pub(super) file: &'a Path,
    /// The tag is the archive's.
    pub(super) repository: Option<&'a str>,
}

/// Unpacks images into the store of the node whose root file system that folder becomes.
///
/// # Errors
/// Where containerd does not run here, or does not take one of them.
pub(super) fn fill(tools: &Tools, root: &Path, archives: &[Archive<'_>]) -> Result<()> {
    let store = root.join(STORE);
    fs::create_dir_all(&store).with_context(|| store.display().to_string())?;
    let own = tempfile::tempdir()?;
    let socket = own.path().join("containerd.sock");
    let file = own.path().join("config.toml");
    fs::write(&file, configuration(&store, own.path(), &socket))?;
    let containerd = Launch::new("containerd", &tools.program("containerd")?)
        .argument("--config")
        .argument(file)
        .start(own.path())?;
    containerd.wait_for_log("containerd successfully booted", START)?;
    for archive in archives {
        let import = &mut Command::new(tools.program("ctr")?);
        import.arg("--address").arg(&socket).args(["-n", NAMESPACE, "images", "import", "--local"]);
        if let Some(repository) = archive.repository {
            import.args(["--base-name", repository]);
        }
        let output = import.arg(archive.file).output().context("ctr")?;
        ensure!(output.status.success(), "{import:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // Its database is written when it ends in peace.
    containerd.terminate(START)?;
    forget_who_it_was(&store)
}

/// Images alone: no containers, no pods, nothing outside of these folders.
fn configuration(store: &Path, own: &Path, socket: &Path) -> String {
    let (store, own, socket) = (store.display(), own.display(), socket.display());
    format!(
        r#"version = 3
root = "{store}"
state = "{own}/state"
disabled_plugins = [
  "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri",
  "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri",
]
[grpc]
address = "{socket}"
[ttrpc]
address = "{socket}.ttrpc"
"#
    )
}

/// Each node is a containerd of its own.
fn forget_who_it_was(store: &Path) -> Result<()> {
    let identity = store.join("io.containerd.grpc.v1.introspection/uuid");
    if identity.exists() {
        fs::remove_file(&identity).with_context(|| identity.display().to_string())?;
    }
    Ok(())
}
