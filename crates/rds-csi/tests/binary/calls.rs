//! Calls of the Controller and Node services, as far as they are the binary's own matter.

use std::time::Duration;

use csi_grpc::v1::controller_client::ControllerClient;
use csi_grpc::v1::node_client::NodeClient;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use csi_grpc::v1::volume_capability::{AccessMode, AccessType, MountVolume};
use csi_grpc::v1::{CapacityRange, CreateVolumeRequest, NodeGetInfoRequest, VolumeCapability};
use routeros_sim::UserConfig;
use routeros_sim::fault::{Action, Fault, When};
use tonic::{Code, Request};

use crate::device::{POLICIES, config, device, fit_device};
use crate::process::{PASSWORD, Setup};

/// A volume of 1 GiB with a file system, and a secret that no log may show.
pub(crate) fn volume(name: &str) -> CreateVolumeRequest {
    let mode = AccessMode { mode: Mode::SingleNodeWriter.into() };
    let mount = AccessType::Mount(MountVolume { fs_type: "ext4".into(), ..MountVolume::default() });
    CreateVolumeRequest {
        name: name.into(),
        capacity_range: Some(CapacityRange { required_bytes: 1 << 30, limit_bytes: 0 }),
        volume_capabilities: vec![VolumeCapability { access_mode: Some(mode), access_type: Some(mount) }],
        secrets: [("passphrase".to_owned(), "open-sesame".to_owned())].into(),
        ..CreateVolumeRequest::default()
    }
}

#[tokio::test]
async fn sigterm_waits_for_the_call_that_runs_and_its_client_gets_the_reply() {
    let (simulator, setup) = fit_device().await;
    let setup = setup.with("--device", "order=fifo");
    let mut running = setup.start().await;
    running.logged("the device answers and fits").await;
    let device = simulator.handle();
    let held =
        device.faults().inject(Fault::once(Action::Hold { when: When::Before }).on("PUT", "/rest/disk"));

    let mut client = ControllerClient::new(setup.connect().await);
    let call = tokio::spawn(async move { client.create_volume(volume("pvc-1")).await });
    while device.faults().met(held) == 0 {
        tokio::task::yield_now().await;
    }
    running.terminate();
    running.logged("stopping").await;
    assert!(!call.is_finished());

    device.faults().release(Some(held));
    let made = call.await.unwrap().unwrap().into_inner().volume.unwrap();
    assert!(running.ended().await.success(), "{}", running.log);
    assert!(device.disk(&made.volume_id).is_some(), "{made:?}");
}

#[tokio::test]
async fn a_call_is_logged_with_its_volume_and_counted_and_its_secrets_are_not_shown() {
    let (_simulator, setup) = fit_device().await;
    let setup =
        setup.with("--device", "order=fifo").with("--log-level", "trace").with("--log-format", "json");
    let mut running = setup.start().await;
    running.logged("the device answers and fits").await;
    let mut client = ControllerClient::new(setup.connect().await);
    let made = client.create_volume(volume("pvc-1")).await.unwrap().into_inner().volume.unwrap();

    let (_, metrics) = running.get("/metrics").await;
    let method = "method_name=\"/csi.v1.Controller/CreateVolume\",grpc_status_code=\"OK\"} 1\n";
    assert!(metrics.contains(method), "{metrics}");
    let line = running.logged("\"call ended\"").await;
    for part in ["\"method\":\"CreateVolume\"", "\"code\":\"OK\"", made.volume_id.as_str()] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    running.terminate();
    assert!(running.ended().await.success());
    assert!(!running.log.contains("open-sesame"), "{}", running.log);
}

#[tokio::test]
async fn a_node_answers_by_its_name_and_its_figures_are_taken_at_the_scrape() {
    let setup = Setup::node().with("--max-volumes", "32");
    let running = setup.start().await;
    let mut client = NodeClient::new(setup.connect().await);
    let info = client.node_get_info(NodeGetInfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.node_id.as_str(), info.max_volumes_per_node), ("rds:node-a", 32));
    let (_, metrics) = running.get("/metrics").await;
    assert!(metrics.contains("rds_csi_stuck_helpers 0\n"), "{metrics}");
    assert!(metrics.contains("rds_csi_nvme_connections_active 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_helper_that_nobody_asked_for_ends_at_once() {
    let (code, stderr) = Setup::bare("helper").fails().await;
    assert!(code == 2 && stderr.contains("started by the driver only"), "{code} {stderr}");
}

#[tokio::test]
async fn a_user_name_that_changed_makes_the_order_of_requests_unknown() {
    let other = UserConfig { name: "other".into(), password: PASSWORD.into(), policies: POLICIES.into() };
    let mut both = config(POLICIES);
    both.users.push(other);
    let (simulator, setup) = device(both).await;
    let setup = setup.with("--device", "order=fifo");
    let mut running = setup.start().await;
    running.logged("the device answers and fits").await;
    let mut client = ControllerClient::new(setup.connect().await);
    // The first request is cut off before it takes effect: nothing shows it, and it may still come.
    let handle = simulator.handle();
    let lost =
        handle.faults().inject(Fault::once(Action::Hold { when: When::Before }).on("PUT", "/rest/disk"));
    let mut create = async || {
        let mut request = Request::new(volume("pvc-1"));
        request.set_timeout(Duration::from_secs(2));
        client.create_volume(request).await
    };
    // On a busy machine the first may be over before it has asked the device for anything.
    for _ in 0..10 {
        assert!(create().await.is_err());
        if handle.faults().met(lost) > 0 {
            break;
        }
    }
    assert_eq!(handle.faults().met(lost), 1);
    setup.file("user", "other");
    let mut refused = create().await.unwrap_err();
    while refused.code() == Code::Aborted {
        refused = create().await.unwrap_err();
    }
    assert!(refused.message().contains("may still take effect"), "{refused:?}");
}
