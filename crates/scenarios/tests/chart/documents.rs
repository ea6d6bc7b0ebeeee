//! What the documents tell people to write is what the chart and the API server take.

use std::fs;
use std::path::{Path, PathBuf};

use crate::accepted::{dry_run, shared};
use crate::helm::{deploy, template};

/// A block of YAML in a document.
struct Block {
    /// The document's name and the block's line, as a file name.
    name: String,
    content: String,
}

#[test]
fn every_manifest_in_the_documents_is_taken_by_the_api_server() {
    let manifests: Vec<_> =
        blocks().into_iter().filter(|block| block.content.contains("apiVersion:")).collect();
    assert!(manifests.len() >= 2, "there are manifests in docs/install.md and docs/classes.md");
    for block in manifests {
        let objects = dry_run(shared(), &block.name, &block.content);
        assert_eq!(objects.len(), block.content.matches("apiVersion:").count(), "{}", block.name);
    }
}

#[test]
fn all_values_in_the_documents_render() {
    let is_of_values = |block: &Block| ["device:", "storageClasses:"].iter().any(|key| starts(block, key));
    let values: Vec<_> = blocks().into_iter().filter(is_of_values).collect();
    assert!(values.len() >= 3, "there are values in the chart's README, docs/install.md and docs/classes.md");
    let folder = tempfile::TempDir::new().unwrap();
    for block in values {
        let file = folder.path().join(&block.name);
        fs::write(&file, &block.content).unwrap();
        let rendered = template("least", &["--values", file.to_str().unwrap()]);
        assert!(rendered.is_ok_and(|rendered| rendered.contains("kind: DaemonSet")), "{}", block.name);
    }
}

/// Whether a line of the block begins with that.
fn starts(block: &Block, key: &str) -> bool {
    block.content.lines().any(|line| line.starts_with(key))
}

/// The blocks of YAML of every document for users.
fn blocks() -> Vec<Block> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let files = fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.chain([deploy("helm/rds-csi/README.md")]).flat_map(|file| of(&file)).collect()
}

/// The blocks of one document, without the indentation that they have in a list.
fn of(file: &PathBuf) -> Vec<Block> {
    let (text, document) = (fs::read_to_string(file).unwrap(), file.file_stem().unwrap().display());
    let (mut blocks, mut open): (_, Option<(usize, Block)>) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        let (indent, word) = (line.len() - line.trim_start().len(), line.trim());
        match &mut open {
            None if word == "```yaml" => {
                let name = format!("{document}-{}.yaml", number + 1);
                open = Some((indent, Block { name, content: String::new() }));
            }
            Some(_) if word == "```" => blocks.extend(open.take().map(|(_, block)| block)),
            Some((indent, block)) => {
                block.content.push_str(line.get(*indent..).unwrap_or_default());
                block.content.push('\n');
            }
            None => {}
        }
    }
    blocks
}
