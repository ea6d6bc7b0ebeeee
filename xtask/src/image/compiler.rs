//! The image that stands in for `rust:…-slim-bookworm`, since nothing is pulled here: Debian with this machine's toolchain, and
//! the project as a commit has it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::builder::Builder;
use crate::process::{output, run};

/// What Rust's own images have besides the toolchain, as far as the project needs it.
const NEEDED: &str = "\
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends ca-certificates gcc libc6-dev
apt-get clean
rm -rf /var/lib/apt/lists/*
";

/// Of a toolchain what compiles: its manuals are most of it.
const PARTS: [&str; 2] = ["bin", "lib"];

/// Whom this machine trusts where crates come from: machines that reach the world by a proxy have authorities of their own.
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// The image's name; it is made of `base` if there is none yet.
pub(super) fn rust(builder: &Builder, base: &str) -> Result<String> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let version = output(Command::new("rustc").arg("--version"))?;
    let version = version.split_whitespace().nth(1).context("rustc --version without one")?;
    let mut recipe = DefaultHasher::new();
    (base, NEEDED, PARTS, AUTHORITIES).hash(&mut recipe);
    let image = format!("rust-slim:{version}-{:016x}", recipe.finish());
    if builder.has(&image)? {
        return Ok(image);
    }
    println!("making {image} of Debian and {sysroot}");
    let container = builder.container(base)?;
    container.script(NEEDED)?;
    let files = container.files()?;
    for part in PARTS {
        run(Command::new("cp").arg("-a").arg(Path::new(&sysroot).join(part)).arg(files.join("usr/local")))?;
    }
    let authorities = Path::new("/").join(AUTHORITIES);
    std::fs::copy(&authorities, files.join(AUTHORITIES))
        .with_context(|| format!("take {}", authorities.display()))?;
    container.commit(&image)?;
    Ok(image)
}

/// Makes `folder` what the last commit has, and nothing else.
pub(super) fn take_commit(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let archive = folder.with_extension("tar");
    run(Command::new("git").args(["archive", "HEAD", "--output"]).arg(&archive))?;
    run(Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(folder))
}
