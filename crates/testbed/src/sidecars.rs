//! The sidecars of a driver's controller: the real external-provisioner, external-attacher and external-resizer.

use std::path::{Path, PathBuf};

use crate::{Launch, Process, Result, Tools};

/// What the sidecars of one driver are started with.
#[derive(Clone, Debug)]
pub struct SidecarOptions {
    /// The driver's socket.
    pub socket: PathBuf,
    /// Who they are to the API server.
    pub kubeconfig: PathBuf,
    /// Further flags of external-provisioner.
    pub provisioner: Vec<String>,
    /// Further flags of external-attacher.
    pub attacher: Vec<String>,
}

/// external-provisioner, external-attacher and external-resizer beside one driver. Without an election of their own: they wait, by
/// Probe, until the driver is ready.
#[derive(Debug)]
pub struct Sidecars {
    /// external-provisioner, with `--extra-create-metadata`.
    pub provisioner: Process,
    /// external-attacher.
    pub attacher: Process,
    /// external-resizer. It has no right to watch pods, and is told so.
    pub resizer: Process,
}

impl Sidecars {
    /// Starts them; their logs go into the folder. They give up after 30 s where nobody listens on the socket.
    ///
    /// # Errors
    /// Where a program is not there or cannot be started.
    pub fn start(tools: &Tools, folder: &Path, options: &SidecarOptions) -> Result<Self> {
        let sidecar = |name: &str| -> Result<Launch> {
            let launch = Launch::new(name, &tools.program(name)?);
            Ok(launch
                .argument(format!("--csi-address={}", options.socket.display()))
                .argument(format!("--kubeconfig={}", options.kubeconfig.display()))
                .arguments(["--leader-election=false", "--v=5"])
                // Five requests a second, their default, would be what a test measures.
                .arguments(["--kube-api-qps=100", "--kube-api-burst=200"]))
        };
        let provisioner = sidecar("csi-provisioner")?
            .arguments(["--extra-create-metadata", "--default-fstype=ext4"])
            .arguments(&options.provisioner)
            .start(folder)?;
        let attacher = sidecar("csi-attacher")?
            .argument("--default-fstype=ext4")
            .arguments(&options.attacher)
            .start(folder)?;
        let resizer = sidecar("csi-resizer")?.argument("--handle-volume-inuse-error=false").start(folder)?;
        Ok(Self { provisioner, attacher, resizer })
    }

    /// SIGKILLs them and starts them again with the same flags.
    ///
    /// # Errors
    /// Where one cannot be started.
    pub fn restart(&self) -> Result<()> {
        self.provisioner.start()?;
        self.attacher.start()?;
        self.resizer.start()
    }

    /// SIGKILLs them.
    pub fn kill(&self) {
        self.provisioner.kill();
        self.attacher.kill();
        self.resizer.kill();
    }
}
