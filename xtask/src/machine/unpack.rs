//! Single programs out of Debian packages that are not installed, since their packages start services.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{Needed, apt, cache};
use crate::process::run;

/// Fetches a program from below the package's `/usr/bin` into `programs/` of the cache, once; answers that folder.
pub(crate) fn unpack(needed: &Needed) -> Result<PathBuf> {
    let folder = cache()?.join("programs");
    let program = folder.join(needed.program);
    if program.is_file() {
        return Ok(folder);
    }
    eprintln!("fetching {} from Debian's package {} (not installed)", needed.program, needed.package);
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let archive = download(needed.package, &folder)?;
    let partial = program.with_extension("partial");
    extract(&archive, needed.program, &partial)?;
    fs::set_permissions(&partial, Permissions::from_mode(0o755))?;
    fs::rename(&partial, &program).with_context(|| format!("keep {}", program.display()))?;
    fs::remove_file(&archive).with_context(|| format!("remove {}", archive.display()))?;
    Ok(folder)
}

/// The package's archive, in `folder`.
fn download(package: &str, folder: &Path) -> Result<PathBuf> {
    let fetch = || {
        // The archive's sandbox user may not write into a cache below a home folder.
        let options = ["-qq", "-o", "APT::Sandbox::User=root", "download", package];
        run(Command::new("apt-get").args(options).current_dir(folder))
    };
    // The lists may be missing, or name what the archive has no longer.
    fetch().or_else(|_| {
        apt(&["update", "-qq"])?;
        fetch()
    })?;
    let files = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
    };
    files.flatten().map(|entry| entry.path()).find(ours).with_context(|| format!("{package} left no archive"))
}

fn extract(archive: &Path, program: &str, target: &Path) -> Result<()> {
    let mut unpacking = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()
        .context("start dpkg-deb")?;
    let contents = unpacking.stdout.take().context("a piped stream")?;
    let file = File::create(target).with_context(|| format!("make {}", target.display()))?;
    let member = format!("./usr/bin/{program}");
    let picked = run(Command::new("tar").args(["-xOf", "-", &member]).stdin(contents).stdout(file));
    let ended = unpacking.wait().context("wait for dpkg-deb")?;
    picked?;
    ensure!(ended.success(), "dpkg-deb ended with {ended}");
    Ok(())
}
