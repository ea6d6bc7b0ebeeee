//! Where the programs of Kubernetes are.

use std::path::PathBuf;

use crate::{Error, Result};

/// Folders of programs, separated by colons.
const VARIABLE: &str = "TESTBED_TOOLS";

/// Where the programs of Kubernetes are: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl,
/// csi-provisioner, csi-attacher, csi-resizer.
#[derive(Clone, Debug)]
pub struct Tools {
    folders: Vec<PathBuf>,
}

impl Tools {
    /// The tools that the variable `TESTBED_TOOLS` names (folders, separated by colons).
    ///
    /// # Errors
    /// [`Error::Tools`] where it is not set.
    pub fn from_environment() -> Result<Self> {
        let value =
            std::env::var_os(VARIABLE).ok_or_else(|| Error::Tools(format!("{VARIABLE} is not set")))?;
        Ok(Self { folders: std::env::split_paths(&value).collect() })
    }

    /// The path of one of them.
    ///
    /// # Errors
    /// [`Error::Tools`] where it is not there.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let found = self.folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        found.ok_or_else(|| Error::Tools(format!("{name} is not in {VARIABLE}")))
    }
}
