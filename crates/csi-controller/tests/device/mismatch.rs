//! A device that answers an add otherwise than told.

use csi_controller::Controller;
use csi_grpc::v1::controller_server::Controller as _;
use csi_server::Readiness;
use prometheus_client::registry::Registry;
use routeros::{Call, Client, Error, Reply, RestTransport, Row, Transport};
use tokio::time::Instant;
use tonic::{Code, Request};

use crate::harness::{Device, GIB, code, config, creation, leftovers};

/// Shows one property of each added row as something else.
struct Altering {
    inner: RestTransport,
    property: &'static str,
    shown: &'static str,
}

impl Transport for Altering {
    async fn call(&self, call: Call<'_>, deadline: Instant) -> Result<Reply, Error> {
        let reply = self.inner.call(call, deadline).await?;
        if !matches!(call, Call::Add { .. }) {
            return Ok(reply);
        }
        let alter = |(name, value)| if name == self.property { (name, self.shown) } else { (name, value) };
        Ok(Reply { rows: reply.rows.iter().map(|row| row.iter().map(alter).collect::<Row>()).collect() })
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_was_made_otherwise_than_told_is_removed_again_and_never_handed_out() {
    for (property, shown) in [
        ("comment", "rds1 cu"),
        ("file-size", "1048576"),
        ("mount-filesystem", "true"),
        ("smb-sharing", "true"),
        ("nvme-tcp-export", "true"),
    ] {
        let device = Device::start().await;
        let (inner, _) = device.transport();
        let client = Client::new(Altering { inner, property, shown });
        let mut registry = Registry::default();
        let controller =
            Controller::new(client, config("a"), &mut registry, Readiness::not_ready("starting")).unwrap();
        let created = controller.create_volume(Request::new(creation("pvc-1", GIB))).await;
        assert_eq!(code(created), Code::Internal, "{property}");
        assert_eq!(leftovers(&device.handle), Vec::<String>::new(), "{property}");
    }
}
