//! csi-sanity, in a guest where the node half has a real kernel: once with a file system, once with block.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use microvm::{Kernel, MIB};
use scenarios::{Options, System};

/// csi-sanity takes half a minute on bare metal; its guest is emulated, and volumes that were used settle
/// for seconds before they are attached again.
const WITHIN: Duration = Duration::from_secs(15 * 60);

fn main() -> Result<ExitCode> {
    let program = PathBuf::from(
        std::env::var_os("CSI_SANITY").context("CSI_SANITY is not set: run `cargo xtask test sanity`")?,
    );
    let options = Options { programs: vec![(program, "/usr/bin/csi-sanity".into())], ..Options::default() };
    println!("booting an RDS and a node");
    let system = System::boot(Kernel::V6_12, &["a"], &options)?;
    let node = &system.nodes[0];
    let (controller, _running) = node.start_controller(&system.rds)?;
    let mut green = true;
    for access in ["mount", "block"] {
        println!("csi-sanity with volumes of type {access}");
        let output = node.guest.command(&line(&controller, node.socket(), access)).deadline(WITHIN).run()?;
        print!("{}{}", output.stdout_text(), output.stderr_text());
        green &= output.success();
    }
    Ok(if green { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(controller: &str, node: &str, access: &str) -> String {
    format!(
        "csi-sanity --csi.endpoint {node} --csi.controllerendpoint {controller} --csi.testvolumeaccesstype {access} \
         --csi.testvolumesize {size} --csi.testvolumeexpandsize {expanded} --csi.stagingdir /tmp/staging \
         --csi.mountdir /tmp/mount --ginkgo.no-color",
        size = 64 * MIB,
        expanded = 96 * MIB,
    )
}
