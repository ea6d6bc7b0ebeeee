//! A node: a guest that runs `rds-csi node` as it ships, and a kubelet in small.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use microvm::{Background, Forward, Guest, GuestBuilder, Lab};

use crate::rds::{PASSWORD, USER};
use crate::{Attached, Csi, Made, Rds, binary, controller};

/// Where kubelet looks for the driver of that name.
const SOCKET: &str = "/var/lib/kubelet/plugins/rds.csi.srvlab.io/csi.sock";
/// As for the simulator: seconds on a slow machine.
const START: Duration = Duration::from_secs(180);

/// For a shell in a node: the driver's process. Its helpers have its name, and those of an earlier driver may have the lower
/// numbers.
pub const DRIVER_PID: &str = "for p in $(pidof rds-csi); do \
                              if tr '\\0' ' ' < /proc/$p/cmdline | grep -q '^[^ ]* node '; then echo $p; fi; done";

/// A node guest.
#[derive(Debug)]
pub struct Node {
    /// The guest.
    pub guest: Guest,
    /// The driver's socket.
    pub csi: Csi,
    _forward: Forward,
    arguments: String,
    driver: Mutex<Option<Background>>,
}

impl Node {
    /// The guest, to be booted with the others.
    ///
    /// # Errors
    /// Where the driver was not built.
    pub(crate) fn guest(lab: &Lab, name: &str) -> Result<GuestBuilder> {
        Ok(lab.guest(name).binary(binary("rds-csi")?, "/usr/bin/rds-csi").disk("kubelet", 64 * microvm::MIB))
    }

    /// Starts the driver in a booted guest, `arguments` appended to its own. Its records lie on the guest's disk, so
    /// they outlive a reboot.
    ///
    /// # Errors
    /// Where it does not come up.
    pub(crate) fn start(guest: Guest, arguments: &[String]) -> Result<Self> {
        guest.sh("mkfs.ext4 -q /dev/vda")?;
        let forward = guest.forward_unix(SOCKET)?;
        let csi = Csi::port(forward.address().port());
        let arguments = arguments.join(" ");
        let node = Self { guest, csi, _forward: forward, arguments, driver: Mutex::default() };
        node.start_driver()?;
        Ok(node)
    }

    /// Starts the driver, again after [`Node::kill_driver`] or a reboot.
    ///
    /// # Errors
    /// Where it does not say that it serves.
    pub fn start_driver(&self) -> Result<()> {
        self.guest.sh(
            "mkdir -p /var/lib/kubelet && { grep -q ' /var/lib/kubelet ' /proc/mounts || mount -t ext4 /dev/vda /var/lib/kubelet; } \
             && mkdir -p /var/lib/kubelet/plugins/rds.csi.srvlab.io",
        )?;
        let name = self.guest.name();
        let driver = self.guest.spawn(&format!(
            "exec rds-csi node --endpoint unix://{SOCKET} --node-name {name} --metrics-address 127.0.0.1:9809 {} 2>&1",
            self.arguments
        ))?;
        driver.wait_for_stdout("serving", START).with_context(|| self.guest.console_tail())?;
        *self.lock() = Some(driver);
        Ok(())
    }

    /// Starts a controller in this guest as well, for programs that must reach both halves: its socket.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start_controller(&self, rds: &Rds) -> Result<(String, Background)> {
        let (socket, certificate) = ("/run/controller.sock", rds.certificate()?);
        self.guest.write_file("/etc/rds-csi/ca.pem", 0o600, certificate)?;
        self.guest.write_file("/etc/rds-csi/user", 0o600, USER)?;
        self.guest.write_file("/etc/rds-csi/password", 0o600, PASSWORD)?;
        let flags = controller::flags(&[
            ("endpoint", format!("unix://{socket}")),
            ("address", rds.management_in_the_lab()),
            ("ca-file", "/etc/rds-csi/ca.pem".into()),
            ("user-file", "/etc/rds-csi/user".into()),
            ("password-file", "/etc/rds-csi/password".into()),
            ("nvme-address", rds.data_address()),
            ("metrics-address", "off".into()),
        ]);
        let controller = self.guest.spawn(&format!("exec rds-csi {} 2>&1", flags.join(" ")))?;
        controller.wait_for_stdout("serving", START)?;
        Ok((socket.to_owned(), controller))
    }

    /// SIGKILLs the driver: what it did to the kernel stays.
    pub fn kill_driver(&self) {
        self.lock().take();
    }

    /// What the driver has logged since it was started.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = self.lock().as_ref().map(Background::stdout).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Cuts the guest's power, boots it again with its disk, and starts the driver.
    ///
    /// # Errors
    /// Where either does not come up.
    pub fn reboot(&self) -> Result<()> {
        self.kill_driver();
        self.guest.boot_again()?;
        self.start_driver()
    }

    /// Where kubelet would stage a volume.
    #[must_use]
    pub fn staging(made: &Made) -> String {
        format!(
            "/var/lib/kubelet/plugins/kubernetes.io/csi/rds.csi.srvlab.io/{}/globalmount",
            made.volume.volume_id
        )
    }

    /// Where a pod would see a volume.
    #[must_use]
    pub fn target(made: &Made) -> String {
        format!("/var/lib/kubelet/pods/pod/volumes/{}/mount", made.volume.volume_id)
    }

    /// What kubelet does for a pod's volume: directories, NodeStageVolume, NodePublishVolume. Answers the
    /// target path.
    ///
    /// # Errors
    /// The driver's status, or the guest's failure.
    pub fn mount(&self, made: &Made, attached: &Attached) -> Result<String> {
        self.make_directories([made])?;
        let (staging, target) = (Self::staging(made), Self::target(made));
        self.csi.stage(made, attached, &staging)?;
        self.csi.publish(made, attached, &staging, &target)?;
        Ok(target)
    }

    /// Makes what the kubelet makes before it calls a driver for these volumes, at once.
    ///
    /// # Errors
    /// The guest's failure.
    pub fn make_directories<'a>(&self, volumes: impl IntoIterator<Item = &'a Made>) -> Result<()> {
        let mut line = "mkdir -p".to_owned();
        for made in volumes {
            let (staging, target) = (Self::staging(made), Self::target(made));
            let parent = target.rsplit_once('/').map_or("/", |(parent, _)| parent);
            line += &format!(" {staging} {parent}");
        }
        self.guest.sh(&line).map(drop).map_err(Into::into)
    }

    /// What kubelet does when the pod is gone: NodeUnpublishVolume, NodeUnstageVolume.
    ///
    /// # Errors
    /// The driver's status.
    pub fn unmount(&self, made: &Made) -> Result<()> {
        self.csi.unpublish(made, &Self::target(made))?;
        self.csi.unstage(made, &Self::staging(made))?;
        Ok(())
    }

    /// The driver's socket, in the guest.
    #[must_use]
    pub fn socket(&self) -> &'static str {
        SOCKET
    }

    /// NVMe subsystems that the kernel has, by NQN.
    ///
    /// # Errors
    /// Where the guest does not answer.
    pub fn subsystems(&self) -> Result<Vec<String>> {
        let list = self.guest.sh("cat /sys/class/nvme-subsystem/*/subsysnqn 2>/dev/null; true")?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Background>> {
        self.driver.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
