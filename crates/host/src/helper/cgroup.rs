//! A helper leaves the driver's container, so that its hanging does not keep that from ending (ADR 8).

use std::path::Path;

/// What the kernel takes for the process that writes it, in whatever PID namespace that is.
const MYSELF: &str = "0";

/// Moves this process, and what it starts, to a cgroup. Where that fails it works on where it is: the driver has said at
/// its start what that means.
pub(super) fn join(cgroup: &Path) {
    let members = cgroup.join("cgroup.procs");
    if let Err(error) = std::fs::write(&members, MYSELF) {
        eprintln!("{}: {error}; this helper stays in the driver's cgroup", members.display());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_helper_names_itself_to_the_kernel() {
        let cgroup = tempfile::tempdir().unwrap();
        join(cgroup.path());
        assert_eq!(std::fs::read_to_string(cgroup.path().join("cgroup.procs")).unwrap(), "0");
    }

    #[test]
    fn a_cgroup_that_is_not_there_ends_no_helper() {
        let cgroup = tempfile::tempdir().unwrap().path().join("gone");
        join(&cgroup);
        assert!(!cgroup.exists());
    }
}
