//! `cargo xtask image`: the image that ships, as an OCI archive with its SBOM beside it, built here without a registry.

mod base;
mod builder;
mod check;
mod contents;
mod notices;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

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

/// The bill of materials, in the target folder.
const BILL: &str = "rds-csi.spdx.json";

/// Where the build context has the binary, below the target folder.
const BINARY: &str = "context/dist/rds-csi";

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

/// Builds, checks and describes the image; of `binary`, or of the one that is built for it.
pub(crate) fn run(binary: Option<PathBuf>) -> Result<()> {
    let binary = match binary {
        Some(binary) => binary,
        None => binaries::release()?.join(NAME),
    };
    build(&binary)
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
    Ok(target()?.join("rds-csi.oci.tar"))
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
    let start = Instant::now();
    let target = target()?;
    remove_former(&target)?;
    let context = context(&target, binary)?;
    let source = Source::of_this_tree()?;
    let builder = Builder::open()?;
    let base = base::debian(&builder)?;

    println!("building {NAME} {} from {CONTAINERFILE}", source.version);
    let image = format!("{NAME}:{}", source.version);
    let arguments =
        [("RUNTIME_BASE", base.as_str()), ("VERSION", &source.version), ("REVISION", &source.revision)];
    let build = Build { file: CONTAINERFILE, stage: "prebuilt", context: &context, arguments: &arguments };
    builder.build(&build, &image, &source.committed)?;
    let delivered = deliver(&builder, &image, &source, &target);
    if let Ok(archive) = &delivered {
        contents::print(&builder, &base, &image, binary, archive)?;
    }
    builder.forget(&image)?;
    println!("{} in {} s", delivered?.display(), start.elapsed().as_secs());
    Ok(())
}

/// Before anything else changes: what a failed build leaves must not be taken for its result.
fn remove_former(target: &Path) -> Result<()> {
    for of_another_run in [archive()?, target.join(BILL)] {
        if of_another_run.exists() {
            fs::remove_file(&of_another_run)
                .with_context(|| format!("remove {}", of_another_run.display()))?;
        }
    }
    Ok(())
}

/// Puts the archive and the bill of materials into `target`; nothing, if the image is not fit.
fn deliver(builder: &Builder, image: &str, source: &Source, target: &Path) -> Result<PathBuf> {
    let (archive, bill) = (archive()?, target.join(BILL));
    let container = builder.container(image)?;
    check::image(&container)?;
    let document = sbom::document(source, &contents::packages(&container)?, &sbom::crates()?)?;
    fs::write(&bill, document).with_context(|| format!("write {}", bill.display()))?;
    builder.archive(image, &source.version, &archive)?;
    Ok(archive)
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
    fn of_this_tree() -> Result<Self> {
        let git = |arguments: &[&str]| output(Command::new("git").args(arguments).env("TZ", "UTC"));
        let dirty = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
        let revision = git(&["rev-parse", "HEAD"])?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").into(),
            revision: if dirty { format!("{revision}-dirty") } else { revision },
            committed: git(&["log", "-1", "--format=%ct"])?,
            committed_at: git(&["log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"])?,
        })
    }
}
