//! `rds-csi declare-fenced` and `rds-csi retry-now`, against a running node.

use std::fs;

use crate::process::{NO_DEVICE, Setup};

const VOLUME: &str = "rds-0123abcd-aaaaaaaaaaaaaaaaaaa";

fn declare(plugin: &Setup, volume: &str) -> Setup {
    command("declare-fenced", plugin, volume)
}

fn command(name: &str, plugin: &Setup, volume: &str) -> Setup {
    let endpoint = format!("unix://{}", plugin.socket().display());
    let mut command = Setup::bare(name).with("--endpoint", &endpoint);
    command.flags.push(volume.into());
    command
}

#[tokio::test]
async fn the_operators_word_reaches_the_node_and_the_answer_names_what_is_fenced() {
    let node = Setup::node();
    let state = node.directory.path().join("state");
    let node = node.with("--state-dir", state.to_str().unwrap());
    let mut running = node.start().await;
    let (code, said) = declare(&node, VOLUME).says().await;
    assert!(code == 0 && said.contains("not attached to this node: nothing was declared"), "{code} {said}");

    let nqn = format!("nqn.2000-02.com.mikrotik:{VOLUME}.0123456789abcdef");
    let record = format!(
        r#"{{"version":1,"volume":"{VOLUME}","nqn":"{nqn}","stagingPath":"/s","form":"block","mountFlags":[],
            "readOnly":false,"singlePod":false,"phase":"staged","device":null}}"#
    );
    fs::write(state.join(format!("stages/{VOLUME}.json")), record).unwrap();
    let (code, said) = declare(&node, VOLUME).says().await;
    assert!(
        code == 0 && said.contains(&nqn) && said.contains("unwritten data will be dropped"),
        "{code} {said}"
    );
    running.logged("declared fenced by the operator").await;
}

#[tokio::test]
async fn the_word_to_try_again_reaches_the_node() {
    let node = Setup::node();
    let mut running = node.start().await;
    let (code, said) = command("retry-now", &node, VOLUME).says().await;
    assert!(
        code == 0 && said.contains("is not left alone on this node: nothing was changed"),
        "{code} {said}"
    );
    running.logged("tried again at the next call").await;
}

#[tokio::test]
async fn a_word_that_cannot_be_taken_is_refused_with_its_reason() {
    let node = Setup::node();
    let (code, said) = declare(&node, "../x").fails().await;
    assert!(code == 2 && said.contains("no volume id"), "{code} {said}");
    let (code, said) = declare(&node, VOLUME).fails().await;
    assert!(code == 1 && said.contains("no plugin answers at unix://"), "{code} {said}");
    let controller = Setup::controller(NO_DEVICE);
    let _running = controller.start().await;
    let (code, said) = declare(&controller, VOLUME).fails().await;
    assert!(code == 1 && said.contains("is no node of this driver"), "{code} {said}");
}
