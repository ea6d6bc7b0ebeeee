//! What the machine must have: Debian packages by name, and the cache for what is built once.

mod unpack;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{is_installed, run};
pub(crate) use unpack::unpack;

/// A program that a suite needs, and the Debian package that has it.
pub(crate) struct Needed {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// Installs the packages whose programs are missing.
pub(crate) fn install(needed: &[Needed]) -> Result<()> {
    let missing: Vec<_> =
        needed.iter().filter(|needed| !is_installed(needed.program)).map(|needed| needed.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing from Debian: {}", missing.join(" "));
    apt(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-qq", "-y", "--no-install-recommends"];
    arguments.extend(missing);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<()> {
    let apt = &mut Command::new("apt-get");
    run(apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
        .context("packages are installed with apt-get, which needs root on Debian 12")
}

/// Where kernels, Go tools and images are kept between runs: `$RDS_CSI_CACHE`, or
/// `rds-csi` in the user's cache folder.
pub(crate) fn cache() -> Result<PathBuf> {
    let folder = std::env::var_os("RDS_CSI_CACHE").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
            .map(|base| base.join("rds-csi"))
    });
    let folder = folder.context("neither RDS_CSI_CACHE nor HOME says where to keep what is built once")?;
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}
