//! The kernels that guests run, both from Debian 12's archive.

use std::fmt;
use std::path::PathBuf;

/// A kernel of Debian 12's archive, in its cloud flavour: small, and with NVMe/TCP on both sides.
///
/// They behave differently where it matters (node.md), so what is promised is tested on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Debian 12's own.
    V6_1,
    /// Debian 12's backport.
    V6_12,
}

impl Kernel {
    /// Every kernel, for tests that run on each.
    pub const ALL: [Self; 2] = [Self::V6_1, Self::V6_12];

    /// Major and minor version.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// What the names of its packages start and end with; between them stands the number of the build.
    pub(crate) fn package_affixes(self) -> (&'static str, &'static str) {
        match self {
            Self::V6_1 => ("linux-image-6.1.0-", "-cloud-amd64"),
            Self::V6_12 => ("linux-image-6.12.", "+deb12-cloud-amd64"),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.version())
    }
}

/// A kernel unpacked in the cache.
#[derive(Clone, Debug)]
pub(crate) struct Unpacked {
    /// Its release, as `uname -r` says it.
    pub(crate) release: String,
    /// The image, an ELF file.
    pub(crate) image: PathBuf,
    /// The directory of its modules, with `modules.dep`.
    pub(crate) modules: PathBuf,
}
