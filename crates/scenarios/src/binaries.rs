//! Where what ships is.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The path of `rds-csi` or `rds-sim` as built for release: `cargo xtask` says where by `RDS_CSI_BINARIES`.
///
/// # Errors
/// Where the variable is not set or the program is not there.
pub fn binary(name: &str) -> Result<PathBuf> {
    let folder = std::env::var_os("RDS_CSI_BINARIES").context(
        "RDS_CSI_BINARIES is not set: run this through `cargo xtask`, or set it to target/release",
    )?;
    let path = PathBuf::from(folder).join(name);
    ensure!(path.is_file(), "{} is not there: build it with `cargo build --release`", path.display());
    Ok(path)
}

/// The path of the driver's image, an OCI archive: `cargo xtask` says where by `RDS_CSI_IMAGE`.
///
/// # Errors
/// Where the variable is not set or the archive is not there.
pub(crate) fn image() -> Result<PathBuf> {
    let path = std::env::var_os("RDS_CSI_IMAGE").context(
        "RDS_CSI_IMAGE is not set: run this through `cargo xtask`, or set it to target/image/rds-csi.oci.tar",
    )?;
    let path = PathBuf::from(path);
    ensure!(path.is_file(), "{} is not there: build it with `cargo xtask image`", path.display());
    Ok(path)
}
