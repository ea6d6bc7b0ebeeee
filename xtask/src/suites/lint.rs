//! Formatting, lints, the rules of the house, and the licences of what we use.

use std::path::PathBuf;

use anyhow::Result;

use super::check;
use crate::machine::cache;
use crate::process::{self, cargo};
use crate::tally::Tally;
use crate::tidy;

/// Pinned so that a release of the checker changes nothing overnight.
const CARGO_DENY: &str = "0.20.2";

pub(super) fn run() -> Result<Tally> {
    let mut tally = check("rustfmt", cargo().args(["fmt", "--all", "--check"]))?;
    let clippy =
        ["clippy", "--workspace", "--all-targets", "--all-features", "--quiet", "--", "-D", "warnings"];
    tally += check("clippy", cargo().args(clippy))?;
    println!("-- tidy");
    tally += Tally::step(tidy::run().inspect_err(|error| println!("{error}")).is_ok());
    // Advisories need a database from the internet; what can be judged offline is.
    let deny = ["deny", "--offline", "check", "bans", "licenses", "sources"];
    tally += check("cargo-deny", cargo().args(deny).env("PATH", path_with(&cargo_deny()?)))?;
    Ok(tally)
}

/// The folder that holds `cargo-deny`, built once a version.
fn cargo_deny() -> Result<PathBuf> {
    let root = cache()?.join(format!("cargo-deny-{CARGO_DENY}"));
    if !root.join("bin/cargo-deny").is_file() {
        println!("building cargo-deny {CARGO_DENY} (some minutes the first time)");
        // Unoptimised: it runs for a second, and builds in a third of the time.
        let install =
            ["install", "--locked", "--debug", "--quiet", "cargo-deny", "--version", CARGO_DENY, "--root"];
        process::run(cargo().args(install).arg(&root))?;
    }
    Ok(root.join("bin"))
}

fn path_with(folder: &std::path::Path) -> std::ffi::OsString {
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}
