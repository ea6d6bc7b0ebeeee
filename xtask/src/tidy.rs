//! The rules of the house that a compiler does not know: which crate may use which, and how
//! files are laid out.

mod edges;
mod files;

use anyhow::{Result, bail};

/// Checks everything and prints what is wrong, one line each.
pub(crate) fn run() -> Result<()> {
    let metadata = cargo_metadata::MetadataCommand::new().exec()?;
    let mut problems = edges::problems(&edges::used(&metadata));
    problems.extend(files::problems(metadata.workspace_root.as_std_path())?);
    for problem in &problems {
        println!("tidy: {problem}");
    }
    if !problems.is_empty() {
        bail!("{} thing(s) to tidy", problems.len());
    }
    println!(
        "tidy: {} crates, their edges and files are as ARCHITECTURE.md has them",
        metadata.workspace_members.len()
    );
    Ok(())
}
