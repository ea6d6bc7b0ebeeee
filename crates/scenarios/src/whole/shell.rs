//! An operator's shell: kubectl and helm as the cluster's administrator, in a folder of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testbed::Tools;

use super::WholeCluster;
use crate::documents::repository;

/// A folder with the repository's `deploy` in it, and what is run there.
#[derive(Debug)]
pub struct Shell {
    folder: TempDir,
    path: OsString,
    kubeconfig: PathBuf,
}

impl Shell {
    /// In an empty folder but for `deploy`.
    ///
    /// # Errors
    /// Where kubectl or helm is not there.
    pub fn new(cluster: &WholeCluster) -> Result<Self> {
        let (tools, folder) = (Tools::from_environment()?, tempfile::tempdir()?);
        let mut path = Vec::new();
        for program in ["kubectl", "helm"] {
            path.push(tools.program(program)?.parent().context("a program's folder")?.to_owned());
        }
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        std::os::unix::fs::symlink(repository("deploy").canonicalize()?, folder.path().join("deploy"))?;
        let kubeconfig = cluster.admin().kubeconfig().to_owned();
        Ok(Self { folder, path: std::env::join_paths(path)?, kubeconfig })
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs lines, up to the first that fails; answers what they printed.
    ///
    /// # Errors
    /// What they said.
    pub fn run(&self, lines: &str) -> Result<String> {
        // It waits for long: it ends with who waits for it.
        let shell = &mut Command::new("setpriv");
        shell.args(["--pdeathsig", "KILL", "bash", "-eo", "pipefail", "-c", lines]);
        shell.current_dir(self.folder()).env("PATH", &self.path).env("KUBECONFIG", &self.kubeconfig);
        let output = shell.output().context("bash")?;
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{lines}: {}\n{said}{errors}", output.status);
        Ok(said.into_owned())
    }
}
