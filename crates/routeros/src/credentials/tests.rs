#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

fn files(user: &str, password: &str, mode: u32) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("user"), user).unwrap();
    let path = directory.path().join("password");
    fs::write(&path, password).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    directory
}

fn load(directory: &Path) -> Result<Credentials, Error> {
    Credentials::from_files(directory.join("user"), directory.join("password"))
}

#[test]
fn a_trailing_line_end_is_no_part_of_a_value() {
    for end in ["", "\n", "\r\n"] {
        let directory = files(&format!("admin{end}"), &format!("p w{end}"), 0o600);
        let credentials = load(directory.path()).unwrap();
        assert_eq!(credentials.user().unwrap(), "admin");
        assert_eq!(
            credentials.authorization().unwrap().to_str().unwrap(),
            format!("Basic {}", BASE64.encode("admin:p w"))
        );
    }
}

#[test]
fn a_file_that_cannot_be_used_says_which_and_why() {
    let cases = [
        ("", "x", 0o600, "user: it is empty"),
        ("admin", "\n", 0o600, "password: it is empty"),
        ("admin", "a\nb", 0o600, "password: it has more than one line"),
        ("ad:min", "x", 0o600, "user: a user name with a colon"),
        ("admin", "x", 0o644, "password: every user may read it: chmod"),
        ("admin", &"x".repeat(2000), 0o600, "password: it is over 1 KiB"),
    ];
    for (user, password, mode, why) in cases {
        let error = load(files(user, password, mode).path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(why), "{error}");
    }
    let absent = load(Path::new("/nowhere")).unwrap_err();
    assert!(absent.to_string().contains("/nowhere/user cannot be read"), "{absent}");
}

#[test]
fn a_secret_that_kubernetes_swaps_under_its_links_is_read_again() {
    let (old, new) = (files("admin", "old", 0o440), files("admin", "new", 0o440));
    let mount = tempfile::tempdir().unwrap();
    let data = mount.path().join("..data");
    symlink(old.path(), &data).unwrap();
    symlink("..data/user", mount.path().join("user")).unwrap();
    symlink("..data/password", mount.path().join("password")).unwrap();
    let credentials = load(mount.path()).unwrap();
    let before = credentials.authorization().unwrap();
    let swapped = mount.path().join("..data_tmp");
    symlink(new.path(), &swapped).unwrap();
    fs::rename(swapped, data).unwrap();
    assert_ne!(credentials.authorization().unwrap(), before);
}

#[test]
fn secrets_are_shown_nowhere() {
    let directory = files("admin", "geheim", 0o600);
    let credentials = load(directory.path()).unwrap();
    let shown = format!("{credentials:?} {:?}", credentials.authorization().unwrap());
    assert!(!shown.contains("geheim") && !shown.contains(&BASE64.encode("admin:geheim")), "{shown}");
}
