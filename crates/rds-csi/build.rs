//! Generates the operator's service from `proto/operator.proto` in pure Rust: protox stands in for protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto/operator.proto");
    let descriptors = protox::compile(["proto/operator.proto"], ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
