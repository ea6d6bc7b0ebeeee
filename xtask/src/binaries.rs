//! The programs under test: the driver and the simulator as they ship, and pinned Go tools.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::machine::cache;
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

/// Builds csi-sanity as `tools/go.mod` pins it, once a version.
pub(crate) fn csi_sanity() -> Result<PathBuf> {
    let pins = std::fs::read_to_string("tools/go.mod").context("read tools/go.mod")?;
    let version = pins
        .lines()
        .find_map(|line| {
            line.trim().trim_start_matches("require ").strip_prefix("github.com/kubernetes-csi/csi-test/v5 ")
        })
        .context("tools/go.mod pins no github.com/kubernetes-csi/csi-test/v5")?;
    let version = version.split_whitespace().next().unwrap_or_default();
    let program = cache()?.join(format!("csi-sanity-{version}"));
    if !program.is_file() {
        println!("building csi-sanity {version} (a minute the first time)");
        let partial = program.with_extension("partial");
        let build = &mut std::process::Command::new("go");
        build.current_dir("tools").env("CGO_ENABLED", "0").args(["build", "-o"]).arg(&partial);
        run(build.arg("github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity"))?;
        std::fs::rename(&partial, &program).with_context(|| format!("keep {}", program.display()))?;
    }
    Ok(program)
}
