#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// Property, value sent, and the row that came back.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

fn differs(name: &'static str, sent: &str, shown: &[(&str, &str)]) -> bool {
    let row: Row = shown.iter().copied().collect();
    require_as_sent(&[(name, sent.to_owned())], &row).is_err()
}

#[test]
fn what_was_sent_is_recognised_in_the_devices_own_spelling() {
    let alike: [Case; 12] = [
        ("nvme-tcp-export", "true", &[("nvme-tcp-export", "yes")]),
        ("nvme-tcp-export", "false", &[]),
        ("smb-sharing", "false", &[]),
        ("mount-filesystem", "false", &[("mount-filesystem", "no")]),
        ("file-path", "raid10/x.img", &[("file-path", "/raid10/x.img")]),
        ("file-size", "1048576", &[("file-size", "1048576")]),
        ("file-size", "1048576", &[("file-size", "2097152")]),
        ("comment", "", &[]),
        ("comment", "a", &[("comment", "a")]),
        ("nvme-tcp-server-allow-host-name", "", &[("nvme-tcp-export", "true")]),
        ("nvme-tcp-server-nqn", "nqn.a", &[("nvme-tcp-server-nqn", "nqn.a"), ("nvme-tcp-export", "true")]),
        ("nvme-tcp-server-nqn", "nqn.a", &[("nvme-tcp-export", "false")]),
    ];
    for (name, sent, shown) in alike {
        assert!(!differs(name, sent, shown), "{name}={sent} {shown:?}");
    }
}

#[test]
fn what_was_not_taken_is_a_difference() {
    let different: [Case; 10] = [
        ("nvme-tcp-export", "true", &[]),
        ("nvme-tcp-export", "false", &[("nvme-tcp-export", "true")]),
        ("mount-filesystem", "false", &[]),
        ("mount-filesystem", "false", &[("mount-filesystem", "true")]),
        ("file-size", "2097152", &[("file-size", "1048576")]),
        ("file-size", "1048576", &[("file-size", "1.0MiB")]),
        ("file-size", "1048576", &[]),
        ("comment", "abc", &[("comment", "ab")]),
        ("comment", "", &[("comment", "ab")]),
        ("nvme-tcp-server-nqn", "nqn.a", &[("nvme-tcp-export", "true")]),
    ];
    for (name, sent, shown) in different {
        assert!(differs(name, sent, shown), "{name}={sent} {shown:?}");
    }
}
