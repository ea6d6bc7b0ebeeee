//! The Debian that stands in for `debian:bookworm-slim`, since nothing is pulled here: bootstrapped once, by this machine's
//! release and sources.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use super::builder::Builder;
use crate::process::output;

/// Where Debian machines say which packages they install from where; taken over as they are, security updates included.
const SOURCES: [&str; 2] = ["etc/apt/sources.list", "etc/apt/sources.list.d/debian.sources"];

/// As in Debian's slim images: of documentation only the licences, now and for what is installed later.
const NO_DOCUMENTATION: &str = "\
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
";

/// What was unpacked before that was said, and what apt keeps.
const STRIP: &str = "\
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get upgrade -qq -y
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/ldconfig/* /var/cache/debconf/*-old /var/lib/dpkg/*-old
rm -rf /usr/share/info/* /usr/share/lintian/* /usr/share/locale/* /usr/share/man/*
find /usr/share/doc ! -type d ! -name copyright -delete
find /usr/share/doc -type d -empty -delete
find /var/log -type f -delete
";

/// The image's name; it is bootstrapped if there is none yet. Its packages are of the day on which that was: without the
/// cache they are today's.
pub(super) fn debian(builder: &Builder) -> Result<String> {
    let release = codename(&fs::read_to_string("/etc/os-release").context("read /etc/os-release")?)?;
    let image = format!("debian-slim:{release}-{:016x}", digest());
    if builder.has(&image)? {
        return Ok(image);
    }
    println!("bootstrapping Debian {release} for the image (two minutes, once)");
    let start = Instant::now();
    let container = builder.container("scratch")?;
    let files = container.files()?;
    output(Command::new("debootstrap").args(["--variant=minbase", &release]).arg(&files))?;
    take_over_sources(&files)?;
    let options = files.join("etc/dpkg/dpkg.cfg.d/no-documentation");
    fs::write(&options, NO_DOCUMENTATION).with_context(|| format!("write {}", options.display()))?;
    container.script(STRIP)?;
    container.commit(&image)?;
    println!("bootstrapped in {} s", start.elapsed().as_secs());
    Ok(image)
}

/// The C library of the image has to be that of the machine that compiles, hence its release.
fn codename(os_release: &str) -> Result<String> {
    let name = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let name = name.context("/etc/os-release has no VERSION_CODENAME: images are built on Debian")?;
    Ok(name.trim_matches('"').to_owned())
}

fn take_over_sources(files: &Path) -> Result<()> {
    for source in SOURCES {
        let target = files.join(source);
        match fs::read(Path::new("/").join(source)) {
            Ok(text) => fs::write(&target, text).with_context(|| format!("write {}", target.display()))?,
            // What debootstrap wrote would be a second list of the same.
            Err(_) => drop(fs::remove_file(&target)),
        }
    }
    Ok(())
}

/// Another recipe is another image.
fn digest() -> u64 {
    let mut hasher = DefaultHasher::new();
    (SOURCES, NO_DOCUMENTATION, STRIP).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::codename;

    #[test]
    fn the_release_is_the_machines_own() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(codename(text).unwrap(), "bookworm");
        assert!(codename("ID=nobody\n").is_err());
    }
}
