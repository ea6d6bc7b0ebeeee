//! The socket's file: made, replaced, left alone, removed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use csi_server::{BindError, Endpoint};
use tempfile::TempDir;

fn endpoint() -> (TempDir, Endpoint) {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = directory.path().join("csi.sock").to_str().unwrap().parse().unwrap();
    (directory, endpoint)
}

#[tokio::test]
async fn a_socket_is_closed_to_others_and_removed_at_the_end() {
    let (_directory, endpoint) = endpoint();
    let bound = endpoint.bind().await.unwrap();
    let mode = fs::metadata(endpoint.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    drop(bound);
    assert!(!endpoint.path().exists());
}

#[tokio::test]
async fn a_socket_left_by_a_dead_process_is_replaced() {
    let (_directory, endpoint) = endpoint();
    drop(UnixListener::bind(endpoint.path()).unwrap());
    assert!(endpoint.path().exists());
    endpoint.bind().await.unwrap();
}

#[tokio::test]
async fn a_socket_that_answers_is_left_alone() {
    let (_directory, endpoint) = endpoint();
    let _alive = UnixListener::bind(endpoint.path()).unwrap();
    let error = endpoint.bind().await.unwrap_err();
    assert!(matches!(error, BindError::InUse(_)), "{error}");
    assert!(endpoint.path().exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let (directory, endpoint) = endpoint();
    fs::write(endpoint.path(), "precious").unwrap();
    assert!(matches!(endpoint.bind().await, Err(BindError::NotASocket(_))));
    assert_eq!(fs::read_to_string(endpoint.path()).unwrap(), "precious");

    fs::remove_file(endpoint.path()).unwrap();
    let target = directory.path().join("target.sock");
    drop(UnixListener::bind(&target).unwrap());
    std::os::unix::fs::symlink(&target, endpoint.path()).unwrap();
    assert!(matches!(endpoint.bind().await, Err(BindError::NotASocket(_))));
    assert!(target.exists() && endpoint.path().is_symlink());
}

#[tokio::test]
async fn a_missing_directory_is_said_and_not_made() {
    let (directory, _) = endpoint();
    let endpoint: Endpoint = directory.path().join("none/csi.sock").to_str().unwrap().parse().unwrap();
    let error = endpoint.bind().await.unwrap_err();
    assert!(error.to_string().contains("is not a directory; create it"), "{error}");
    assert!(!directory.path().join("none").exists());
}

#[tokio::test]
async fn the_successor_s_socket_at_the_same_path_is_not_removed() {
    let (_directory, endpoint) = endpoint();
    let bound = endpoint.bind().await.unwrap();
    fs::remove_file(endpoint.path()).unwrap();
    let _successor = UnixListener::bind(endpoint.path()).unwrap();
    drop(bound);
    assert!(endpoint.path().exists());
}
