//! What a call leaves in the log, and what it does not.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use csi_grpc::v1::CreateVolumeRequest;
use csi_server::STOP_GRACE;
use tonic::Request;
use tracing_subscriber::fmt::MakeWriter;

use crate::harness::Harness;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

#[tokio::test]
async fn a_call_is_one_line_with_its_volume_and_never_a_secret() {
    // For the whole process: with a subscriber per thread, whether a span exists depends on which
    // test came first to it. The names of volumes tell this test's calls from the others'.
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone());
    subscriber.init();

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
