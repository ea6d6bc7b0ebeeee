//! csi-sanity, in a guest where the node half has a real kernel: once with a file system, once with block.
#![expect(
    clippy::disallowed_methods,
    reason = "test support: it starts the programs under test and waits for them"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use microvm::{Kernel, MIB};
use scenarios::{Options, System, ended, with_consoles};
use serde_json::Value;

/// csi-sanity takes half a minute on bare metal; its guest is emulated, and volumes that were used settle
/// for seconds before they are attached again.
const WITHIN: Duration = Duration::from_secs(15 * 60);

/// Where csi-sanity writes what became of each spec.
const REPORT: &str = "/tmp/report.json";
/// Words of the specs whose capability is not there, so not advertised: requirements R30, B2, B5 and B7 are to come;
/// read-only attachments and a limit that the controller enforces are not asked for.
const TO_COME: &[&str] = &[
    "napshot",
    "Cloning",
    "odify",
    "GroupController",
    "VolumeHealth",
    "StorageHealth",
    "readonly field",
    "attachlimit",
];

fn main() -> ExitCode {
    ended(run())
}

fn run() -> Result<bool> {
    let program = PathBuf::from(
        std::env::var_os("CSI_SANITY").context("CSI_SANITY is not set: run `cargo xtask test sanity`")?,
    );
    let options = Options { programs: vec![(program, "/usr/bin/csi-sanity".into())], ..Options::default() };
    println!("booting an RDS and a node");
    let system = System::boot(Kernel::V6_12, &["a"], &options)?;
    with_consoles(is_green(&system), [&system.rds.guest, &system.nodes[0].guest])
}

fn is_green(system: &System) -> Result<bool> {
    let node = &system.nodes[0];
    let (controller, _running) = node.start_controller(&system.rds)?;
    let mut green = true;
    for access in ["mount", "block"] {
        println!("csi-sanity with volumes of type {access}");
        let output = node.guest.command(&line(&controller, node.socket(), access)).deadline(WITHIN).run()?;
        print!("{}{}", output.stdout_text(), output.stderr_text());
        green &= output.success();
        let unexpected = unexpected_skips(&node.guest.read_file(REPORT)?)?;
        for skip in &unexpected {
            println!("skipped, and not for a capability that is yet to come: {skip}");
        }
        green &= unexpected.is_empty();
    }
    Ok(green)
}

/// The specs that were skipped though what they are of is there.
fn unexpected_skips(report: &[u8]) -> Result<Vec<String>> {
    let suites: Vec<Value> = serde_json::from_slice(report).context("csi-sanity's report")?;
    let specs = suites.iter().filter_map(|suite| suite["SpecReports"].as_array()).flatten();
    let skipped = specs.filter(|spec| spec["State"] == "skipped").map(|spec| {
        let parents =
            spec["ContainerHierarchyTexts"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let name = parents.chain(spec["LeafNodeText"].as_str()).collect::<Vec<_>>().join(" > ");
        format!("{name}: {}", spec["Failure"]["Message"].as_str().unwrap_or_default())
    });
    let to_come = |skip: &String| TO_COME.iter().any(|capability| skip.contains(capability));
    Ok(skipped.filter(|skip| !to_come(skip)).collect())
}

fn line(controller: &str, node: &str, access: &str) -> String {
    format!(
        "csi-sanity --csi.endpoint {node} --csi.controllerendpoint {controller} --csi.testvolumeaccesstype {access} \
         --csi.testvolumesize {size} --csi.testvolumeexpandsize {expanded} --csi.stagingdir /tmp/staging \
         --csi.mountdir /tmp/mount --ginkgo.no-color --ginkgo.json-report {REPORT}",
        size = 64 * MIB,
        expanded = 96 * MIB,
    )
}
