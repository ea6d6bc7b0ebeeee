//! The one door to buildah: images and working containers in a store of their own, in the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::machine::cache;
use crate::process::output;

/// A store of images that no other program uses.
pub(super) struct Builder {
    store: PathBuf,
}

/// What a Containerfile is built with.
pub(super) struct Build<'a> {
    pub(super) file: &'a str,
    /// Where to stop, if not at the end.
    pub(super) stage: Option<&'a str>,
    pub(super) context: &'a Path,
    pub(super) arguments: &'a [(&'a str, &'a str)],
}

/// A container of an image, with its files; removed when dropped.
pub(super) struct Container<'a> {
    builder: &'a Builder,
    id: String,
}

impl Builder {
    pub(super) fn open() -> Result<Self> {
        let store = cache()?.join("image");
        std::fs::create_dir_all(&store).with_context(|| format!("make {}", store.display()))?;
        Ok(Self { store })
    }

    fn buildah(&self, action: &str) -> Command {
        let mut buildah = Command::new("buildah");
        // The driver that works everywhere, as root in a container too: it copies whole trees.
        buildah.args(["--storage-driver", "vfs"]);
        buildah.arg("--root").arg(self.store.join("store")).arg("--runroot").arg(self.store.join("run"));
        buildah.arg(action);
        buildah
    }

    pub(super) fn has(&self, image: &str) -> Result<bool> {
        Ok(self.size(image)?.is_some())
    }

    /// What an image unpacks to, for people; None if there is no such image.
    pub(super) fn size(&self, image: &str) -> Result<Option<String>> {
        let images = output(self.buildah("images").args(["--format", "{{.Name}}:{{.Tag}} {{.Size}}"]))?;
        // Images that were built here are named so.
        let known = format!("localhost/{image} ");
        Ok(images.lines().find_map(|line| line.strip_prefix(&known)).map(|size| size.trim().to_owned()))
    }

    /// What an image says of itself: `User`, `Entrypoint`, `Labels` and the rest of OCI's configuration.
    pub(super) fn configuration(&self, image: &str) -> Result<Value> {
        let said = output(self.buildah("inspect").args(["--type", "image", image]))?;
        let all: Value =
            serde_json::from_str(&said).with_context(|| format!("what buildah knows of {image}"))?;
        Ok(all["OCIv1"]["config"].clone())
    }

    /// A container of `image`; of nothing at all for `scratch`.
    pub(super) fn container(&self, image: &str) -> Result<Container<'_>> {
        let id = output(self.buildah("from").args(["--quiet", "--pull-never", image]))?;
        Ok(Container { builder: self, id })
    }

    /// Builds `image`. Every time in it is `seconds` since 1970.
    pub(super) fn build(&self, build: &Build<'_>, image: &str, seconds: &str) -> Result<()> {
        let buildah = &mut self.buildah("bud");
        // Namespaces of its own would need more rights than some machines give.
        buildah.args(["--quiet", "--isolation", "chroot", "--pull-never", "--timestamp", seconds]);
        for (name, value) in build.arguments {
            buildah.arg("--build-arg").arg(format!("{name}={value}"));
        }
        buildah.args(build.stage.map(|stage| format!("--target={stage}")));
        buildah.args(["--tag", image, "--file", build.file]).arg(build.context);
        output(buildah).map(drop)
    }

    /// Writes `image` into an OCI archive that is not there yet, with `tag` as the name of its only manifest.
    pub(super) fn archive(&self, image: &str, tag: &str, archive: &Path) -> Result<()> {
        let target = format!("oci-archive:{}:{tag}", archive.display());
        output(self.buildah("push").args(["--quiet", image, &target])).map(drop)
    }

    /// Removes an image, and what its build left.
    pub(super) fn forget(&self, image: &str) -> Result<()> {
        output(self.buildah("rmi").args(["--force", image]))?;
        output(self.buildah("rmi").arg("--prune")).map(drop)
    }
}

impl Container<'_> {
    /// The folder with the container's files.
    pub(super) fn files(&self) -> Result<PathBuf> {
        output(self.builder.buildah("mount").arg(&self.id)).map(PathBuf::from)
    }

    /// Runs a shell script in the container, as root.
    pub(super) fn script(&self, script: &str) -> Result<()> {
        let buildah = &mut self.builder.buildah("run");
        buildah.args(["--isolation", "chroot", "--user", "0:0", &self.id, "--", "sh", "-euc", script]);
        output(buildah).map(drop)
    }

    /// Keeps the container's files as `image`.
    pub(super) fn commit(&self, image: &str) -> Result<()> {
        output(self.builder.buildah("commit").args(["--quiet", &self.id, image])).map(drop)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if let Err(error) = output(self.builder.buildah("rm").arg(&self.id)) {
            eprintln!("a container of the image's build stays: {error:#}");
        }
    }
}
