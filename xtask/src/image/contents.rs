//! What is in the image, and how much of it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::builder::{Builder, Container};
use super::check;

/// A Debian package of the image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

/// The Debian packages, as the image's own dpkg has them.
pub(super) fn packages(container: &Container<'_>) -> Result<Vec<Package>> {
    let format = "${Package}\\t${Version}\\t${Architecture}\\n";
    let listed = check::said(container, &["dpkg-query", "--show", "--showformat", format])?;
    listed.lines().map(package).collect()
}

fn package(line: &str) -> Result<Package> {
    let mut words = line.split('\t').map(str::to_owned);
    let mut next = || words.next().with_context(|| format!("a package in {line:?}"));
    Ok(Package { name: next()?, version: next()?, architecture: next()? })
}

/// Says how large the image is and what it is made of.
pub(super) fn print(builder: &Builder, base: &str, image: &str, binary: &Path, archive: &Path) -> Result<()> {
    let size = |image: &str| builder.size(image)?.with_context(|| format!("no image {image}"));
    println!("{image}: {} to pull, {} unpacked:", megabytes(archive)?, size(image)?);
    println!("  {} Debian, {} rds-csi, the rest xfsprogs and its libraries", size(base)?, megabytes(binary)?);
    Ok(())
}

fn megabytes(file: &Path) -> Result<String> {
    let bytes = fs::metadata(file).with_context(|| format!("look at {}", file.display()))?.len();
    Ok(format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_line_of_dpkg_is_a_package() {
        let expected =
            Package { name: "libc6".into(), version: "2.36-9".into(), architecture: "amd64".into() };
        assert_eq!(package("libc6\t2.36-9\tamd64").unwrap(), expected);
        assert!(package("libc6\t2.36-9").is_err());
    }
}
