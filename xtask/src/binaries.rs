//! The programs under test: the driver and the simulator as they ship.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::process::{cargo, run};

/// The variable that tells tests where the shipped binaries are.
pub(crate) const BINARIES: &str = "RDS_CSI_BINARIES";

/// Builds `rds-csi` and `rds-sim` in the release profile; answers their folder.
pub(crate) fn release() -> Result<PathBuf> {
    println!("building rds-csi and rds-sim (release; some minutes the first time)");
    run(cargo().args(["build", "--release", "--quiet", "-p", "rds-csi", "-p", "routeros-sim"]))?;
    Ok(target()?.join("release"))
}

/// The workspace's target folder.
pub(crate) fn target() -> Result<PathBuf> {
    let metadata =
        cargo_metadata::MetadataCommand::new().no_deps().exec().context("ask cargo for the target folder")?;
    Ok(metadata.target_directory.into())
}
