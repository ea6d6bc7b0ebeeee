//! A pod of the driver's Deployment: one controller and its sidecars, as processes of this machine.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testbed::{ControlPlane, Proxy, SidecarOptions, Sidecars, free_ports, objects};

use super::{ACCOUNT, NAMESPACE};
use crate::folder::Folder;
use crate::{Controller, Device, DeviceRequest, Target, http};

/// A controller with its sidecars. The controller reaches the API server through a proxy of its own, so that it
/// alone can be cut off; the sidecars reach it directly and go on calling.
#[derive(Debug)]
pub struct ControllerPod {
    /// external-provisioner, external-attacher and external-resizer.
    pub sidecars: Sidecars,
    /// The driver.
    pub controller: Controller,
    /// Between the driver and the API server.
    pub api: Proxy,
    /// Between the driver and the device, where there are several: it tells which of them sent a request.
    pub link: Option<Proxy>,
    /// The Pod object; nothing schedules it.
    pub object: Value,
    metrics: SocketAddr,
}

impl ControllerPod {
    /// Starts one and waits until its controller answers, ready or not.
    pub(super) fn start(
        number: usize,
        control_plane: &ControlPlane,
        device: &Target,
        link: Option<Proxy>,
        arguments: &[String],
    ) -> Result<Self> {
        let name = format!("{ACCOUNT}-{number}");
        let folder = control_plane.folder().join(&name);
        let api = Proxy::start(control_plane.address())?;
        let device = &link.as_ref().map_or_else(|| device.clone(), |link| device.by(link.address()));
        let account = |server| control_plane.kubeconfig_of_service_account(NAMESPACE, ACCOUNT, server);
        let object = control_plane.admin().create(&object(&name))?;
        let uid = object["metadata"]["uid"].as_str().context("a Pod without UID")?;
        let [metrics] = free_ports([127, 0, 0, 1].into())?;
        let metrics = SocketAddr::from(([127, 0, 0, 1], metrics));

        let environment = [
            ("RDS_CSI_KUBECONFIG", account(api.address())?.display().to_string()),
            ("POD_NAME", name.clone()),
            ("POD_NAMESPACE", NAMESPACE.to_owned()),
            ("POD_UID", uid.to_owned()),
        ];
        let own = Folder::make(folder.clone())?;
        let at = metrics.to_string();
        let controller = Controller::start_in(own, device, &at, arguments, &environment)?;
        let options = SidecarOptions {
            socket: controller.socket().to_owned(),
            kubeconfig: account(control_plane.address())?,
            provisioner: Vec::new(),
            attacher: Vec::new(),
        };
        let sidecars = Sidecars::start(control_plane.tools(), &folder, &options)?;
        Ok(Self { sidecars, controller, api, link, object, metrics })
    }

    /// SIGKILLs the controller and its sidecars.
    pub fn kill(&self) {
        self.controller.process.kill();
        self.sidecars.kill();
    }

    /// SIGKILLs what still runs and starts all of it again, as a kubelet restarts containers of the same pod.
    ///
    /// # Errors
    /// Where a process does not come up.
    pub fn restart(&self) -> Result<()> {
        self.controller.crash_and_restart()?;
        Ok(self.sidecars.restart()?)
    }

    /// Starts what has ended, as the kubelet does. A container that ends again and again would be restarted later and
    /// later, which is left out.
    ///
    /// # Errors
    /// Where a process cannot be started.
    pub fn revive(&self) -> Result<()> {
        let Sidecars { provisioner, attacher, resizer } = &self.sidecars;
        for process in [&self.controller.process, provisioner, attacher, resizer] {
            if !process.is_running() {
                process.start()?;
            }
        }
        Ok(())
    }

    /// What this controller, one of several, has sent to the device, of what the device remembers.
    ///
    /// # Errors
    /// Where the device does not say, or this controller is the only one.
    pub fn sent_to(&self, device: &Device) -> Result<Vec<DeviceRequest>> {
        let link = self.link.as_ref().context("one controller alone reaches its device directly")?;
        Ok(device.log()?.into_iter().filter(|request| link.is_peer(request.peer)).collect())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// What the controller's metrics are now.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn scrape(&self) -> Result<String> {
        http::request(self.metrics, "GET", "/metrics", "")
    }

    /// Waits until the controller's log has these words.
    ///
    /// # Errors
    /// Where it has not in time.
    pub fn wait_for_log(&self, words: &str, within: Duration) -> Result<()> {
        Ok(self.controller.process.wait_for_log(words, within)?)
    }
}

/// The Pod object: events name it, and its UID is part of an identity. No scheduler knows it, so nobody takes it
/// for one that runs on a node that is not there.
fn object(name: &str) -> Value {
    let mut pod = objects::pod(name, None, &[]);
    pod["metadata"]["namespace"] = NAMESPACE.into();
    pod["metadata"]["labels"] = json!({ "app": ACCOUNT });
    pod["spec"]["serviceAccountName"] = ACCOUNT.into();
    pod["spec"]["schedulerName"] = "nobody".into();
    pod
}
