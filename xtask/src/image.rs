//! `cargo xtask image`: the image that ships, as an OCI archive with its SBOM beside it, built here without a registry.

mod base;
mod builder;
mod check;
mod compiler;
mod contents;
mod notices;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::binaries;
use crate::machine::{Needed, install};
use crate::process::output;
use builder::{Build, Builder};
pub(crate) use notices::notices;

const NEEDED: &[Needed] = &[
    Needed { program: "buildah", package: "buildah" },
    Needed { program: "debootstrap", package: "debootstrap" },
    Needed { program: "unshare", package: "util-linux" },
    Needed { program: "git", package: "git" },
];

const CONTAINERFILE: &str = "deploy/Containerfile";

/// The image's name, here and in the archive.
const NAME: &str = "rds-csi";

/// The image, in the target folder.
const ARCHIVE: &str = "rds-csi.oci.tar";

/// The bill of materials, beside it.
const BILL: &str = "rds-csi.spdx.json";

/// Where the build context has the binary, below the target folder.
const BINARY: &str = "context/dist/rds-csi";

/// What follows a commit that is not all.
const DIRTY: &str = "-dirty";

/// Which state of the project an image is of.
struct Source {
    version: String,
    /// The commit, with `-dirty` if there is more than that.
    revision: String,
    /// Seconds since 1970: every time in the image is the commit's, so that the same commit gives the same layers.
    committed: String,
    /// The same as a date: `2026-11-21T18:27:00Z`.
    committed_at: String,
}

/// The variable that tells tests where the image's archive is.
pub(crate) const IMAGE: &str = "RDS_CSI_IMAGE";

/// Whose binary goes into the image.
pub(crate) enum Of {
    /// The release's, built here.
    Release,
    /// One that is there.
    Binary(PathBuf),
    /// The commit's, compiled by a stage of the Containerfile: what somebody does who has a builder and nothing else.
    Commit,
}

/// Builds, checks and describes the image.
pub(crate) fn run(of: Of) -> Result<()> {
    match of {
        Of::Release => build(&binaries::release()?.join(NAME)),
        Of::Binary(binary) => build(&binary),
        Of::Commit => compile(),
    }
}

/// The archive of the image of the release's binary; built, unless the last one that was built is of it.
pub(crate) fn of_the_release() -> Result<PathBuf> {
    let (binary, archive) = (binaries::release()?.join(NAME), archive()?);
    if !is_of(&archive, &binary)? {
        build(&binary)?;
    }
    Ok(archive)
}

/// Where the archive is, once there is one.
pub(crate) fn archive() -> Result<PathBuf> {
    Ok(target()?.join(ARCHIVE))
}

fn target() -> Result<PathBuf> {
    Ok(binaries::target()?.join("image"))
}

/// Whether the archive was built of that binary, by the recipe as it is now.
fn is_of(archive: &Path, binary: &Path) -> Result<bool> {
    let built = |path: &Path| fs::metadata(path).and_then(|of| of.modified()).ok();
    let is_newer = built(archive).is_some() && built(archive) > built(Path::new(CONTAINERFILE));
    let used = fs::read(target()?.join(BINARY)).unwrap_or_default();
    Ok(is_newer && used == fs::read(binary).with_context(|| format!("read {}", binary.display()))?)
}

fn build(binary: &Path) -> Result<()> {
    install(NEEDED)?;
    let target = target()?;
    let context = context(&target, binary)?;
    let builder = Builder::open()?;
    let base = base::debian(&builder)?;
    Recipe { builder: &builder, base: &base, context: &context, compiler: None, target: &target }.follow()
}

/// Has the Containerfile compile what is committed; the result lies apart from the others, which tests use.
fn compile() -> Result<()> {
    install(NEEDED)?;
    let source = Source::of_this_tree()?;
    ensure!(!source.is_dirty(), "commit what is changed: what is compiled there is the commit");
    let target = target()?.join("compiled");
    let context = target.join("context");
    compiler::take_commit(&context)?;
    let builder = Builder::open()?;
    let base = base::debian(&builder)?;
    let compiler = compiler::rust(&builder, &base)?;
    Recipe { builder: &builder, base: &base, context: &context, compiler: Some(&compiler), target: &target }
        .follow()
}

/// What an image is built of, and where its archive goes.
struct Recipe<'a> {
    builder: &'a Builder,
    base: &'a str,
    context: &'a Path,
    /// The base of the stage that compiles; without one the context has the binary.
    compiler: Option<&'a str>,
    target: &'a Path,
}

impl Recipe<'_> {
    fn follow(&self) -> Result<()> {
        let start = Instant::now();
        remove_former(self.target)?;
        let source = Source::of_this_tree()?;
        println!("building {NAME} {} from {CONTAINERFILE}", source.version);
        let image = format!("{NAME}:{}", source.version);
        let arguments =
            [("RUNTIME_BASE", self.base), ("VERSION", &source.version), ("REVISION", &source.revision)];
        let arguments: Vec<_> =
            arguments.into_iter().chain(self.compiler.map(|base| ("BUILD_BASE", base))).collect();
        let stage = if self.compiler.is_none() { Some("prebuilt") } else { None };
        let build = Build { file: CONTAINERFILE, stage, context: self.context, arguments: &arguments };
        self.builder.build(&build, &image, &source.committed)?;
        let delivered = self.deliver(&image, &source);
        self.builder.forget(&image)?;
        println!("{} in {} s", delivered?.display(), start.elapsed().as_secs());
        Ok(())
    }

    /// Puts the archive and the bill of materials into the target; nothing, if the image is not fit.
    fn deliver(&self, image: &str, source: &Source) -> Result<PathBuf> {
        let (archive, bill) = (self.target.join(ARCHIVE), self.target.join(BILL));
        let container = self.builder.container(image)?;
        check::image(&container)?;
        check::configuration(&self.builder.configuration(image)?, source)?;
        let document = sbom::document(source, &contents::packages(&container)?, &sbom::crates()?)?;
        fs::write(&bill, document).with_context(|| format!("write {}", bill.display()))?;
        self.builder.archive(image, &source.version, &archive)?;
        let binary = container.files()?.join("usr/bin").join(NAME);
        contents::print(self.builder, self.base, image, &binary, &archive)?;
        Ok(archive)
    }
}

/// Before anything else changes: what a failed build leaves must not be taken for its result.
fn remove_former(target: &Path) -> Result<()> {
    for of_another_run in [target.join(ARCHIVE), target.join(BILL)] {
        if of_another_run.exists() {
            fs::remove_file(&of_another_run)
                .with_context(|| format!("remove {}", of_another_run.display()))?;
        }
    }
    Ok(())
}

/// A build context of nothing but what goes into the image: the whole tree would be copied.
fn context(target: &Path, binary: &Path) -> Result<PathBuf> {
    let context = target.join("context");
    let dist = context.join("dist");
    fs::create_dir_all(&dist).with_context(|| format!("make {}", dist.display()))?;
    fs::copy(binary, dist.join(NAME)).with_context(|| format!("take {}", binary.display()))?;
    fs::write(dist.join("copyright"), notices()?).context("write the notices")?;
    Ok(context)
}

impl Source {
    fn is_dirty(&self) -> bool {
        self.revision.ends_with(DIRTY)
    }

    fn of_this_tree() -> Result<Self> {
        let git = |arguments: &[&str]| output(Command::new("git").args(arguments).env("TZ", "UTC"));
        let dirty = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
        let revision = git(&["rev-parse", "HEAD"])?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").into(),
            revision: if dirty { format!("{revision}{DIRTY}") } else { revision },
            committed: git(&["log", "-1", "--format=%ct"])?,
            committed_at: git(&["log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"])?,
        })
    }
}
