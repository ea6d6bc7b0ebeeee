//! Generates the types of `proto/` in pure Rust: protox stands in for protoc.

use std::error::Error;

/// CSI, and the API by which a CSI plugin makes itself known to the kubelet.
const FILES: [&str; 2] = ["proto/csi.proto", "proto/pluginregistration.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
