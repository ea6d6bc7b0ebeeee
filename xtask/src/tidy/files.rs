//! How files are laid out: small, each named after what it is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The longest file that is still one thing: twice what the good codebases have at their 90th percentile
/// would already be two things, so the limit lies between.
const MAX_LINES: usize = 500;

/// Names that say nothing of what is inside.
const SHAPELESS: &[&str] = &["utils.rs", "util.rs", "helpers.rs", "common.rs", "misc.rs"];

/// Every file that breaks a rule of the layout.
pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for folder in ["crates", "xtask"] {
        for file in rust_files(&root.join(folder))? {
            let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
            let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            problems.extend(problem(&shown, &text));
        }
    }
    Ok(problems)
}

fn problem(path: &str, text: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let lines = text.lines().count();
    if name == "mod.rs" {
        return Some(format!("{path}: a module is named by its own file, not mod.rs"));
    }
    if SHAPELESS.contains(&name) {
        return Some(format!("{path}: name the file after what it does"));
    }
    if lines > MAX_LINES {
        return Some(format!("{path}: {lines} lines; over {MAX_LINES} a file is more than one thing"));
    }
    // A `tests.rs` is told by its name and by the file that it belongs to.
    (!text.starts_with("//!") && name != "tests.rs")
        .then(|| format!("{path}: begin with a line of //! that says what the file is for"))
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_of_the_layout_can_be_broken() {
        let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
        for (path, text) in [
            ("a/mod.rs", "//! A module.\n"),
            ("a/utils.rs", "//! Things.\n"),
            ("a/long.rs", long.as_str()),
            ("a/silent.rs", "fn main() {}\n"),
        ] {
            assert!(problem(path, text).is_some(), "{path}");
        }
        assert_eq!(problem("a/fine.rs", "//! Fine.\n"), None);
    }
}
