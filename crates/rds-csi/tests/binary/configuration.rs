//! Configurations that cannot be: exit code 2, and a line that says what, where, and what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::process::{NO_DEVICE, Setup};

fn controller() -> Setup {
    Setup::controller(NO_DEVICE)
}

#[tokio::test]
async fn each_flag_that_cannot_be_is_refused_with_its_name_and_what_to_write() {
    for (flag, value, said) in [
        ("--endpoint", "tcp://0.0.0.0:1", "write unix:///dir/name.sock"),
        ("--driver-name", "a/b", "expected letters, digits"),
        ("--metrics-address", "9809", "expected ip:port"),
        ("--log-format", "xml", "possible values: text, json"),
        ("--log-level", "loud", "expected error, warn, info, debug, trace or off"),
        ("--log-level", "info,=,", "info,routeros=debug"),
        ("--poll-interval", "0s", "expected a time above 0, as in 15s"),
        ("--attachment-reconcile-interval", "0s", "expected a time above 0"),
        ("--max-in-flight", "0", "0 is not in 1..=64"),
        ("--tls-fingerprint", "ab:cd", "64 hexadecimal digits"),
        ("--cluster-id", "two words", "printable ASCII characters without spaces"),
        ("--base-path", "raid10/csi", "no base path"),
        ("--base-path", "/raid10/../flash", "no base path"),
        ("--nvme-address", "10.0.0.1:0", "no data address"),
        ("--nqn-prefix", "mikrotik", "no NQN"),
        ("--max-volume-size", "1TB", "Ki, Mi, Gi or Ti"),
        ("--pool-reserve", "51", "expected percent, 0 to 50"),
        ("--pool-reserve", "5%", "expected percent, 0 to 50"),
        ("--fencing", "maybe", "generation|host-nqn|off"),
        ("--lease-duration", "4s", "expected 5s to 60s"),
        ("--lease-duration", "2m", "expected 5s to 60s"),
        ("--attachment-grace-period", "30", "as in 5s"),
        ("--pods-unreadable", "maybe", "expected refuse or allow"),
        ("--fence-settle", "5", "as in 5s"),
        ("--no-such-flag", "x", "unexpected argument '--no-such-flag'"),
    ] {
        let (code, stderr) = controller().with(flag, value).fails().await;
        assert_eq!(code, 2, "{flag} {value}: {stderr}");
        assert!(last_line(&stderr, flag).contains(said), "{flag} {value}: {stderr}");
    }
}

#[tokio::test]
async fn each_flag_of_a_node_that_cannot_be_is_refused() {
    for (flag, value, said) in [
        ("--node-name", "Node_A", "expected the name of a Node"),
        ("--kubelet-dir", "kubelet", "expected an absolute path"),
        ("--state-dir", "../x", "expected an absolute path"),
        ("--max-volumes", "70000", "70000 is not in 0..=65535"),
    ] {
        let (code, stderr) = Setup::node().with(flag, value).fails().await;
        assert_eq!(code, 2, "{flag} {value}: {stderr}");
        assert!(last_line(&stderr, flag).contains(said), "{flag} {value}: {stderr}");
    }
}

#[tokio::test]
async fn what_is_required_is_asked_for_by_name() {
    for flag in
        ["--address", "--user-file", "--password-file", "--cluster-id", "--base-path", "--nvme-address"]
    {
        let (code, stderr) = controller().without(flag).fails().await;
        assert_eq!(code, 2, "{flag}: {stderr}");
        assert!(last_line(&stderr, flag).contains("required"), "{flag}: {stderr}");
    }
    let (code, stderr) = Setup::node().without("--node-name").fails().await;
    assert!(code == 2 && stderr.contains("--node-name"), "{stderr}");
}

/// What an operator sees of a pod that ended: it has that word, as the flag's name.
fn last_line<'a>(stderr: &'a str, word: &str) -> &'a str {
    let last = stderr.lines().last().unwrap();
    assert!(last.starts_with("rds-csi: ") && last.contains(word), "no {word:?} in the last line: {stderr}");
    last
}

/// A setup that is refused as a whole: code 2, one line, the last one, with these words in it.
async fn refused(setup: &Setup, words: &[&str]) {
    let (code, stderr) = setup.fails().await;
    assert_eq!(code, 2, "{stderr}");
    assert_eq!(stderr.lines().filter(|line| line.starts_with("rds-csi: ")).count(), 1, "{stderr}");
    for word in words {
        last_line(&stderr, word);
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_is_refused_without_repeating_a_password() {
    for (address, said) in [
        ("rds.example", "https://host[:port]"),
        ("ssh://rds.example", "ssh:// is not yet supported"),
        ("https://rds.example/rest", "it has a path"),
        ("https://rds.example:65536", "a port is 1 to 65535"),
        ("https://user:secret@rds.example", "credentials come from files"),
    ] {
        let setup = Setup::controller(address);
        refused(&setup, &["--address", said]).await;
        assert!(!setup.fails().await.1.contains("secret"));
    }
}

#[tokio::test]
async fn trust_in_the_device_is_said_exactly_once() {
    let each = ["--ca-file", "--tls-fingerprint", "--tls-insecure"];
    refused(&controller().without("--tls-insecure"), &each).await;
    refused(&controller().with("--tls-fingerprint", &"ab".repeat(32)), &each).await;
    let plain = Setup::controller("http://127.0.0.1:1").without("--tls-insecure");
    refused(&plain.with("--tls-fingerprint", &"ab".repeat(32)), &["--address", "password in clear"]).await;
}

#[tokio::test]
async fn a_file_that_is_absent_empty_or_readable_by_everyone_is_named() {
    for flag in ["--user-file", "--password-file", "--ca-file"] {
        let setup = controller().with(flag, "/nonexistent/file");
        let setup = if flag == "--ca-file" { setup.without("--tls-insecure") } else { setup };
        refused(&setup, &["/nonexistent/file"]).await;
    }
    let setup = controller();
    let password = setup.file("password", "");
    refused(&setup, &[password.to_str().unwrap(), "empty"]).await;

    fs::write(&password, "secret").unwrap();
    fs::set_permissions(&password, Permissions::from_mode(0o644)).unwrap();
    refused(&setup, &[password.to_str().unwrap(), "chmod"]).await;

    let no_pem = setup.file("ca.pem", "not a certificate");
    let setup = setup.without("--tls-insecure").with("--ca-file", no_pem.to_str().unwrap());
    fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
    refused(&setup, &["ca.pem", "PEM"]).await;
}

#[tokio::test]
async fn sockets_that_cannot_be_had_are_named() {
    refused(&controller().with("--endpoint", "unix:///nonexistent/csi.sock"), &["/nonexistent", "create it"])
        .await;
    let setup = controller();
    setup.file("csi.sock", "precious");
    refused(&setup, &["csi.sock", "is not a socket"]).await;

    let setup = controller();
    let running = setup.start().await;
    refused(&setup, &["csi.sock", "another process answers"]).await;
    let taken = controller().with("--metrics-address", &running.http_address());
    refused(&taken, &["--metrics-address", "in use"]).await;
}

#[tokio::test]
async fn what_is_not_known_of_devices_is_refused_with_what_may_be() {
    for fact in ["unexport=fast", "boot=first", "unexport"] {
        refused(&controller().with("--device", fact), &["--device", fact, "unexport=early|drains"]).await;
    }
}

#[tokio::test]
async fn a_fence_without_a_wait_needs_a_device_that_drains() {
    let hasty = controller().with("--fence-settle", "0s");
    refused(&hasty, &["--fence-settle", "--device unexport=drains"]).await;
    hasty.with("--device", "unexport=drains").start().await;
    refused(&controller().with("--max-volume-size", "1Mi"), &["--max-volume-size"]).await;
}

#[tokio::test]
async fn a_lease_needs_a_namespace() {
    let setup = controller();
    let kubeconfig = "{apiVersion: v1, kind: Config, current-context: x, contexts: [{name: x, context: {cluster: x, user: x}}], \
                      clusters: [{name: x, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: x, user: {}}]}";
    let file = setup.file("kubeconfig", kubeconfig);
    refused(&setup.with("--kubeconfig", file.to_str().unwrap()), &["--lease-namespace", "POD_NAMESPACE"])
        .await;
}
