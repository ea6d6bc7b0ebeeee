//! The crates that are in the binary.

use std::fmt;

use anyhow::{Context, Result};

use crate::process::{cargo, output};

/// The machine that the image is for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A crate from outside.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::image) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression, if the crate has one.
    pub(in crate::image) license: Option<String>,
}

impl Crate {
    /// Whether it is the one of this name and version.
    pub(in crate::image) fn is(&self, name: &str, version: &str) -> bool {
        self.name == name && self.version == version
    }
}

impl fmt::Display for Crate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What cargo links into rds-csi: neither what only builds or tests it, nor what only writes code (procedural macros).
pub(in crate::image) fn crates() -> Result<Vec<Crate>> {
    let edges = ["--edges", "normal,no-proc-macro", "--target", TARGET];
    let form = ["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"];
    let listed = output(cargo().args(["tree", "--locked", "--package", "rds-csi"]).args(edges).args(form))?;
    let mut crates =
        listed.lines().filter_map(|line| linked(line).transpose()).collect::<Result<Vec<_>>>()?;
    crates.sort();
    crates.dedup();
    Ok(crates)
}

/// A line of the tree; None for crates of this workspace, which are the binary itself.
fn linked(line: &str) -> Result<Option<Crate>> {
    let (package, license) = line.split_once('|').with_context(|| format!("a crate in {line:?}"))?;
    let mut words = package.split(' ');
    let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let version = version.strip_prefix('v').with_context(|| format!("a version in {line:?}"))?;
    if words.next().is_some_and(|place| place.starts_with("(/")) {
        return Ok(None);
    }
    Ok(Some(Crate { name: name.into(), version: version.into(), license: expression(license) }))
}

/// Old manifests say `MIT/Apache-2.0` for what is `MIT OR Apache-2.0`.
fn expression(license: &str) -> Option<String> {
    let choices: Vec<_> = license.split('/').map(str::trim).collect();
    (!license.is_empty()).then(|| choices.join(" OR "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn crates_from_outside_are_listed_with_their_licences_in_todays_form() {
        for (line, license) in [
            ("tokio v1.54.0|MIT", Some("MIT")),
            ("tokio v1.54.0|MIT/Apache-2.0", Some("MIT OR Apache-2.0")),
            ("tokio v1.54.0|MIT / Apache-2.0", Some("MIT OR Apache-2.0")),
            ("tokio v1.54.0|", None),
        ] {
            let expected =
                Crate { name: "tokio".into(), version: "1.54.0".into(), license: license.map(str::to_owned) };
            assert_eq!(linked(line).unwrap(), Some(expected), "{line}");
        }
        assert_eq!(linked("volume v0.1.0 (/src/crates/volume)|Apache-2.0").unwrap(), None);
        assert!(linked("tokio 1.54.0|MIT").is_err() && linked("tokio v1.54.0").is_err());
    }

    #[test]
    fn what_only_tests_builds_or_writes_code_is_not_in_the_binary() {
        let crates = crates().unwrap();
        let has = |name: &str| crates.iter().any(|known| known.name == name);
        assert!(has("tokio") && has("rustls") && has("ring"));
        for absent in ["proptest", "tempfile", "protox", "clap_derive", "syn", "cargo_metadata"] {
            assert!(!has(absent), "{absent}");
        }
    }
}
