//! What the documents tell people to write is what the chart and the API server take.

use std::fs;

use scenarios::documents::{Block, blocks, repository};

use crate::accepted::{dry_run, shared};
use crate::helm::{deploy, template};

#[test]
fn every_manifest_in_the_documents_is_taken_by_the_api_server() {
    let manifests: Vec<_> =
        yaml().into_iter().filter(|block| block.content.contains("apiVersion:")).collect();
    assert!(manifests.len() >= 2, "there are manifests in docs/install.md and docs/classes.md");
    for block in manifests {
        let objects = dry_run(shared(), &block.name, &block.content);
        assert_eq!(objects.len(), block.content.matches("apiVersion:").count(), "{}", block.name);
    }
}

#[test]
fn all_values_in_the_documents_render() {
    let is_of_values = |block: &Block| ["device:", "storageClasses:"].iter().any(|key| starts(block, key));
    let values: Vec<_> = yaml().into_iter().filter(is_of_values).collect();
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
fn yaml() -> Vec<Block> {
    let files = fs::read_dir(repository("docs")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let all = files.chain([deploy("helm/rds-csi/README.md")]).flat_map(|file| blocks(&file).unwrap());
    all.filter(|block| block.language == "yaml").collect()
}
