//! The control plane: etcd, API server, controller manager, scheduler.

mod readiness;
mod servers;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::certificates::Authority;
use crate::folder::Folder;
use crate::kubeconfig::{self, User};
use crate::{Kubectl, Process, Result, Tools, free_ports};
use readiness::Readiness;
use servers::Plan;

/// It takes 5 s on two busy cores; another build on them may make that many times longer.
const START: Duration = Duration::from_secs(90);
/// The built-in group that may do everything.
const MASTERS: &str = "system:masters";

/// What may differ from one control plane to the next.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the API server listens, and what kubeconfigs name: loopback, or the address of a private namespace.
    pub listen: IpAddr,
    /// Further addresses that its certificate is for: where guests find it by way of a forwarder.
    pub known_as: Vec<IpAddr>,
    /// The API server reaches nodes and pods by way of an [`Egress`](crate::Egress) on
    /// [`ControlPlane::egress_socket`].
    pub nodes_by_egress: bool,
    /// Further flags of kube-apiserver.
    pub api_server: Vec<String>,
    /// Further flags of kube-controller-manager.
    pub controller_manager: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Ipv4Addr::LOCALHOST.into(),
            known_as: Vec::new(),
            nodes_by_egress: false,
            api_server: Vec::new(),
            controller_manager: Vec::new(),
        }
    }
}

/// A running control plane. Dropping it ends all of it and removes its folder.
#[derive(Debug)]
pub struct ControlPlane {
    // In the order of their ends: after etcd, the API server would wait for it.
    scheduler: Process,
    controller_manager: Process,
    api_server: Process,
    etcd: Process,
    admin: Kubectl,
    tools: Tools,
    authority: Authority,
    address: SocketAddr,
    readiness: Readiness,
    kubeconfigs: AtomicU32,
    folder: Folder,
}

impl ControlPlane {
    /// Starts one on loopback and waits until it serves: the API, and the service account that pods of the
    /// namespace `default` have.
    ///
    /// # Errors
    /// Where a program is not there, or does not get ready (with the end of its log).
    pub fn start(tools: &Tools) -> Result<Self> {
        Self::start_with(tools, &Options::default())
    }

    /// As [`ControlPlane::start`], with options.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub fn start_with(tools: &Tools, options: &Options) -> Result<Self> {
        let folder = Folder::new()?;
        let authority = Authority::new(folder.path().join("certificates"))?;
        let [api, etcd_clients, etcd_peers] = free_ports(options.listen)?;
        let address = SocketAddr::new(options.listen, api);
        let plan = Plan { tools, folder: folder.path(), authority: &authority, options, address };

        let admin = plan.kubeconfig("admin", "testbed-admin", Some(MASTERS))?;
        let admin = Kubectl::new(tools.program("kubectl")?, &admin, folder.path().join("kubectl"));
        let etcd = plan.etcd(etcd_clients, etcd_peers)?;
        wait_for_port(&etcd, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), etcd_clients))?;
        let (api_server, readiness) =
            (plan.api_server(etcd_clients)?, Readiness::new(address, &authority.certificate())?);
        wait_for_api(&api_server, &readiness)?;
        let (controller_manager, scheduler) = (plan.controller_manager()?, plan.scheduler()?);
        wait_for_service_account(&admin, "default")?;
        Ok(Self {
            scheduler,
            controller_manager,
            api_server,
            etcd,
            admin,
            tools: tools.clone(),
            authority,
            address,
            readiness,
            kubeconfigs: AtomicU32::new(0),
            folder,
        })
    }

    /// kubectl as somebody who may do everything.
    #[must_use]
    pub fn admin(&self) -> &Kubectl {
        &self.admin
    }

    /// Runs kubectl as [`ControlPlane::admin`]; answers what it printed.
    ///
    /// # Errors
    /// As [`Kubectl::run`].
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.admin.run(arguments)
    }

    /// Where the API server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The programs that it was started from.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Its folder, for what belongs to the same run: it goes when this is dropped or this process is killed.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where an [`Egress`](crate::Egress) listens, with [`Options::nodes_by_egress`].
    #[must_use]
    pub fn egress_socket(&self) -> PathBuf {
        egress_socket(self.folder())
    }

    /// The certificate that signs those of servers and clients, in a PEM file.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.authority.certificate()
    }

    /// A kubeconfig file of a user with a client certificate, who may do what RBAC gives the user or the group.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn kubeconfig_for(&self, user: &str, group: Option<&str>) -> Result<PathBuf> {
        self.kubeconfig_for_at(user, group, self.address)
    }

    /// As [`ControlPlane::kubeconfig_for`], for where the API server is reached as `server` (see
    /// [`ControlPlane::kubeconfig_of_service_account`]).
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn kubeconfig_for_at(&self, user: &str, group: Option<&str>, server: SocketAddr) -> Result<PathBuf> {
        let credentials = self.authority.client(user, group)?;
        self.kubeconfig(&User::Certificate(&credentials), server)
    }

    /// A kubeconfig file of a service account, as its pods would have it; the account is made if it is not there.
    /// `server` is where the API server is reached: [`ControlPlane::address`], a [`Proxy`](crate::Proxy)'s, or one of
    /// [`Options::known_as`]. The file needs no other, so it can be copied to where it is used.
    ///
    /// # Errors
    /// Where the API server gives no token.
    pub fn kubeconfig_of_service_account(
        &self,
        namespace: &str,
        name: &str,
        server: SocketAddr,
    ) -> Result<PathBuf> {
        if self.admin.get(&["serviceaccount", "-n", namespace, name])?.is_none() {
            self.kubectl(&["create", "serviceaccount", "-n", namespace, name])?;
        }
        // Longer than any test: nobody renews it.
        let token = self.kubectl(&["create", "token", "-n", namespace, name, "--duration=24h"])?;
        self.kubeconfig(&User::Token(token.trim()), server)
    }

    /// Makes a namespace and waits until pods can be made in it.
    ///
    /// # Errors
    /// Where it is there, or its service account does not come.
    pub fn add_namespace(&self, name: &str) -> Result<()> {
        self.kubectl(&["create", "namespace", name])?;
        wait_for_service_account(&self.admin, name)
    }

    /// SIGKILLs the API server: connections break, and nobody listens on its port. etcd keeps what was acknowledged.
    pub fn stop_api_server(&self) {
        self.api_server.kill();
    }

    /// Starts the API server again on its port and waits until it is ready.
    ///
    /// # Errors
    /// Where it does not get ready.
    pub fn start_api_server(&self) -> Result<()> {
        self.api_server.start()?;
        wait_for_api(&self.api_server, &self.readiness)
    }

    /// Stops the API server where it is: its connections stay, requests hang.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn pause_api_server(&self) -> Result<()> {
        self.api_server.pause()
    }

    /// Lets the API server go on.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn resume_api_server(&self) -> Result<()> {
        self.api_server.resume()
    }

    /// Its processes, to look at or to kill: scheduler, controller manager, API server, etcd.
    #[must_use]
    pub fn processes(&self) -> [&Process; 4] {
        [&self.scheduler, &self.controller_manager, &self.api_server, &self.etcd]
    }

    fn kubeconfig(&self, user: &User<'_>, server: SocketAddr) -> Result<PathBuf> {
        let number = self.kubeconfigs.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(format!("user-{number}.kubeconfig"));
        kubeconfig::write(&path, server, &self.authority.certificate(), user)?;
        Ok(path)
    }
}

fn egress_socket(folder: &Path) -> PathBuf {
    folder.join("egress.sock")
}

fn wait_for_port(process: &Process, address: SocketAddr) -> Result<()> {
    process.wait_until("listens", START, || Ok(TcpStream::connect(address).ok().map(drop)))
}

fn wait_for_api(process: &Process, readiness: &Readiness) -> Result<()> {
    process.wait_until("is ready", START, || Ok(readiness.is_ready().then_some(())))
}

/// A controller gives each namespace its service account, without which the API server takes no pods.
fn wait_for_service_account(admin: &Kubectl, namespace: &str) -> Result<()> {
    admin.wait(&["-n", namespace, "serviceaccount/default", "--for=create"], START)
}

impl Plan<'_> {
    /// Writes a component's kubeconfig file.
    fn kubeconfig(&self, file: &str, user: &str, group: Option<&str>) -> Result<PathBuf> {
        let path = self.folder.join(format!("{file}.kubeconfig"));
        let credentials = self.authority.client(user, group)?;
        kubeconfig::write(
            &path,
            self.address,
            &self.authority.certificate(),
            &User::Certificate(&credentials),
        )?;
        Ok(path)
    }
}
