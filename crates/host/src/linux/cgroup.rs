//! The cgroup outside the driver's container that helpers live in (ADR 8).

use std::io::{Error, ErrorKind};
use std::path::Path;

/// Makes it, for helpers to come. Where that fails the driver goes on and says what it means: it is a plugin's restart
/// that suffers, and only while something hangs.
pub(super) fn prepare(cgroup: &Path) {
    if let Err(error) = make(cgroup) {
        tracing::warn!(
            cgroup = %cgroup.display(), %error,
            "helpers stay in the driver's own cgroup: while one hangs in the kernel, this pod cannot be replaced"
        );
    }
}

fn make(cgroup: &Path) -> Result<(), Error> {
    match std::fs::create_dir(cgroup) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // In a file system of cgroups the kernel has filled it.
    cgroup.join("cgroup.procs").metadata().map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_directory_that_is_no_cgroup_is_not_taken_for_one() {
        let parent = tempfile::tempdir().unwrap();
        let error = make(&parent.path().join("helpers")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn one_that_a_driver_before_has_made_serves_again() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join("cgroup.procs"), "").unwrap();
        make(parent.path()).unwrap();
    }

    #[test]
    fn one_that_cannot_be_made_is_an_error() {
        let parent = tempfile::tempdir().unwrap();
        let error = make(&parent.path().join("none/helpers")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
