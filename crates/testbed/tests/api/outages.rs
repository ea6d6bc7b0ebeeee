//! An API server that is gone, hangs, or is slow.

use std::time::{Duration, Instant};

use testbed::Proxy;

use super::{shared, start};

#[test]
fn what_was_acknowledged_is_there_after_the_api_server_was_killed() {
    let api = start();
    api.kubectl(&["create", "configmap", "kept", "--from-literal=word=yes"]).unwrap();
    api.stop_api_server();
    let error = api.kubectl(&["get", "configmap", "kept"]).unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
    api.start_api_server().unwrap();
    let word = api.kubectl(&["get", "configmap", "kept", "-o", "jsonpath={.data.word}"]).unwrap();
    assert_eq!(word, "yes");
    // The controllers have found it again too.
    api.add_namespace("later").unwrap();
}

#[test]
fn requests_hang_while_the_api_server_is_paused() {
    let api = start();
    api.pause_api_server().unwrap();
    let error = api.kubectl(&["get", "nodes", "--request-timeout=1s"]).unwrap_err().to_string();
    assert!(error.contains("timeout") || error.contains("deadline"), "{error}");
    api.resume_api_server().unwrap();
    api.kubectl(&["get", "nodes"]).unwrap();
}

#[test]
fn requests_through_a_proxy_are_as_slow_as_it_is() {
    const DELAY: Duration = Duration::from_secs(2);
    let api = shared();
    let proxy = Proxy::start(api.address()).unwrap();
    let through = api.kubeconfig_of_service_account("default", "slow", proxy.address()).unwrap();
    let through = api.admin().with_kubeconfig(&through);
    through.run(&["get", "--raw", "/version"]).unwrap();
    proxy.delay(DELAY);
    let start = Instant::now();
    through.run(&["get", "--raw", "/version"]).unwrap();
    assert!(start.elapsed() >= DELAY, "{:?}", start.elapsed());
    proxy.cut();
    assert!(through.run(&["get", "--raw", "/version"]).is_err());
    proxy.restore();
    through.run(&["get", "--raw", "/version"]).unwrap();
}
