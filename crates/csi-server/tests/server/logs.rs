//! What a call leaves in the log, and what it does not.

use csi_grpc::v1::CreateVolumeRequest;
use csi_server::STOP_GRACE;
use tonic::Request;

use crate::harness::Harness;
use crate::log::Log;

#[tokio::test]
async fn a_call_is_one_line_with_its_volume_and_never_a_secret() {
    let log = Log::of_this_process();
    let harness = Harness::start(STOP_GRACE).await;
    for name in ["vol-logged", "refused-logged", "panics-logged"] {
        let secrets = [("passphrase".to_owned(), "hunter2".to_owned())].into();
        let request = CreateVolumeRequest { name: name.into(), secrets, ..CreateVolumeRequest::default() };
        let _ = harness.send(Request::new(request)).await;
    }
    let text = log.text();
    assert!(!text.contains("hunter2"), "{text}");
    for (name, said) in [
        ("vol-logged", "code=\"OK\""),
        ("refused-logged", "held by nœud-1"),
        ("panics-logged", "code=\"Unavailable\""),
    ] {
        let span = format!("rpc{{method=\"CreateVolume\" volume_id=\"{name}\"}}");
        let ends = |line: &&str| line.contains("call ended") || line.contains("call failed");
        let lines: Vec<_> = text.lines().filter(ends).filter(|line| line.contains(&span)).collect();
        assert_eq!(lines.len(), 1, "{name} in:\n{text}");
        assert!(lines[0].contains(said), "{}", lines[0]);
    }
}
