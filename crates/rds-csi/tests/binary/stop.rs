//! SIGTERM and SIGKILL without a call under way.

use crate::process::{NO_DEVICE, Setup};

#[tokio::test]
async fn sigterm_ends_either_role_well_and_removes_its_socket() {
    for setup in [Setup::controller(NO_DEVICE), Setup::node()] {
        let mut running = setup.start().await;
        let _idle_client = setup.connect().await;
        running.terminate();
        let status = running.ended().await;
        assert!(status.success(), "{status}: {}", running.log);
        assert!(!setup.socket().exists());
    }
}

#[tokio::test]
async fn a_socket_left_by_a_killed_process_does_not_stop_the_next_one() {
    let setup = Setup::node();
    setup.start().await.killed().await;
    let mut running = setup.start().await;
    running.terminate();
    assert!(running.ended().await.success());
}
