//! The images of Kubernetes' tests, made here under the names that the suite asks for.

use std::path::Path;

use anyhow::{Context, Result};
use scenarios::{ContainerImage, WholeCluster};
use testbed::Tools;

/// What most pods of the suite run: a server, a writer and checker of files, and what enters a node's namespaces.
const AGNHOST: &str = "agnhost";
/// Images of which the storage specs need a shell and the programs of a small Unix, no more: `nginx` only executes a
/// script.
const SHELLS: [&str; 3] = ["busybox", "nginx", "pause"];
/// What specs read and write raw devices with, past caches, by flags that only this dd knows.
const COREUTILS: &str = "glibc-dns-testing";

/// Makes them and gives them to every node. Of the names, `registry/name:tag`, those are taken that storage specs use.
pub(crate) fn import(cluster: &WholeCluster, tools: &Tools, names: &[String]) -> Result<()> {
    let called = |wanted: &[&str]| {
        let mut names = names.iter().filter(|name| wanted.contains(&short(name))).map(String::as_str);
        let first = names.next().with_context(|| format!("the suite has no image {wanted:?}"))?;
        Ok::<_, anyhow::Error>(names.fold(ContainerImage::shell(first), ContainerImage::also))
    };
    let program = tools.program(AGNHOST)?;
    let agnhost = called(&[AGNHOST])?.running(&program, "/agnhost", &["pause"]);
    // The shell, too: busybox's prefers its own dd to any other.
    let coreutils = called(&[COREUTILS])?.with(Path::new("/bin/dd")).with(Path::new("/bin/sh"));
    for image in [called(&SHELLS)?, coreutils, agnhost] {
        let archive = image.archive()?;
        for node in &cluster.nodes {
            node.import_image(archive.clone())?;
        }
    }
    Ok(())
}

/// The name without registry and tag.
fn short(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.split(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn an_image_is_known_by_its_name_without_registry_and_tag() {
        assert_eq!(short("localhost/e2e/busybox:1.37.0-1"), "busybox");
        assert_eq!(short("pause"), "pause");
    }
}
