//! The licences of what is linked into the binary, in full: whoever passes the binary on has to pass these on, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, Package};

use super::sbom::{self, Crate};

/// What files with a licence or a notice are called, whatever follows.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// The crates of each text: most share a few.
type Texts = BTreeMap<String, BTreeSet<String>>;

/// One text with every licence and notice, and the crates that it is of.
pub(crate) fn notices() -> Result<String> {
    let metadata = MetadataCommand::new().exec().context("ask cargo for the crates' folders")?;
    let mut texts = Texts::new();
    let own = metadata.workspace_root.join("LICENSE");
    add(&mut texts, "rds-csi".into(), read(own.as_std_path())?);
    for linked in sbom::crates()? {
        let of_it = |package: &&Package| linked.is(&package.name, &package.version.to_string());
        let package = metadata.packages.iter().find(of_it);
        let package = package.with_context(|| format!("cargo has no folder of {linked}"))?;
        let folder = package.manifest_path.parent().context("a manifest is in a folder")?;
        let found = texts_in(folder.as_std_path())?;
        if found.is_empty() {
            add(&mut texts, linked.to_string(), without_a_text(&linked));
        }
        for text in found {
            add(&mut texts, linked.to_string(), text);
        }
    }
    Ok(printed(&texts))
}

fn add(texts: &mut Texts, name: String, text: String) {
    texts.entry(text).or_default().insert(name);
}

/// Some crates name their licence and have no text of it.
fn without_a_text(linked: &Crate) -> String {
    let license = linked.license.as_deref().unwrap_or("nothing");
    format!("Licensed under {license}; the crate comes without the text.\n")
}

fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            texts.push(read(&path)?);
        }
    }
    Ok(texts)
}

/// With one kind of line ends, so that the same text is the same.
fn read(file: &Path) -> Result<String> {
    let text = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
    Ok(format!("{}\n", text.trim_end()))
}

fn printed(texts: &Texts) -> String {
    let part = |(text, names): (&String, &BTreeSet<String>)| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        format!("==== {}\n\n{text}\n", names.join(", "))
    };
    texts.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_crate_in_the_binary_is_named_with_a_text() {
        let notices = notices().unwrap();
        let heads: Vec<_> = notices.lines().filter_map(|line| line.strip_prefix("==== ")).collect();
        let named: BTreeSet<_> = heads.iter().flat_map(|names| names.split(", ")).collect();
        for linked in sbom::crates().unwrap() {
            assert!(named.contains(linked.to_string().as_str()), "{linked}");
        }
        assert!(named.contains("rds-csi"));
        assert!(notices.contains("Permission is hereby granted") && notices.contains("Apache License"));
    }

    #[test]
    fn texts_that_are_the_same_are_printed_once() {
        let mut texts = Texts::new();
        for name in ["b 1.0.0", "a 1.0.0"] {
            add(&mut texts, name.into(), "Do as you like.\n".into());
        }
        assert_eq!(printed(&texts), "==== a 1.0.0, b 1.0.0\n\nDo as you like.\n\n");
    }
}
