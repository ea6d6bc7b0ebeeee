//! Where the shipped binaries are.

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
