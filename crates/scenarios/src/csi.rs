//! A CO in small: calls one driver's CSI socket and waits for the answer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use csi_grpc::v1::controller_client::ControllerClient;
use csi_grpc::v1::identity_client::IdentityClient;
use csi_grpc::v1::node_client::NodeClient;
use csi_grpc::v1::*;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::Shape;

/// What a call is given before the client leaves: kubelet's and the sidecars' usual two minutes.
const CALL: Duration = Duration::from_secs(120);

/// The runtime under the blocking calls, one for the process.
static RUNTIME: LazyLock<Arc<Runtime>> = LazyLock::new(|| {
    Arc::new(Runtime::new().unwrap_or_else(|error| panic!("a runtime for the CSI clients: {error}")))
});

/// The way to one driver.
#[derive(Clone, Debug)]
pub struct Csi {
    way: Way,
    patience: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Way {
    /// One connection for all calls, as the sidecars have it.
    Kept(Channel),
    /// A connection per call, as kubelet has it: what a restart or a stalled guest broke in between is not met.
    Anew(Box<Endpoint>),
}

/// A volume as CreateVolume answered it, with how it is used.
#[derive(Clone, Debug)]
pub struct Made {
    /// The volume.
    pub volume: Volume,
    /// Its use.
    pub shape: Shape,
}

/// An attachment as ControllerPublishVolume answered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The publish context.
    pub context: HashMap<String, String>,
}

impl Csi {
    /// Connects, lazily, to a unix socket of this machine.
    #[must_use]
    pub fn unix(path: &Path) -> Self {
        let path: PathBuf = path.to_owned();
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // The authority is never looked up: the connector knows where to go.
        let endpoint = Endpoint::from_static("http://localhost").timeout(CALL);
        let _inside = RUNTIME.enter();
        Self { way: Way::Kept(endpoint.connect_with_connector_lazy(connector)), patience: None }
    }

    /// Connects, for each call, to a forwarded port of this machine's loopback.
    ///
    /// # Panics
    /// Never: the address is well formed.
    #[must_use]
    pub fn port(port: u16) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))
            .unwrap_or_else(|error| panic!("an address of the loopback: {error}"));
        Self { way: Way::Anew(Box::new(endpoint.timeout(CALL))), patience: None }
    }

    /// The same connection, for stages and unstages that the driver is told to answer within this time.
    #[must_use]
    pub fn within(&self, patience: Duration) -> Self {
        Self { way: self.way.clone(), patience: Some(patience) }
    }

    /// The same driver, by one connection for all calls at once: the emulator's listener for a guest keeps few that are not
    /// accepted yet, and the host resets some of dozens that come in the same instant.
    #[must_use]
    pub fn over_one_connection(&self) -> Self {
        Self { way: Way::Kept(self.channel()), patience: self.patience }
    }

    /// Whether the driver says that it is ready.
    ///
    /// # Errors
    /// The driver's status.
    pub fn probe(&self) -> Result<bool, Status> {
        let answer = wait(IdentityClient::new(self.channel()).probe(ProbeRequest {}))?;
        Ok(answer.ready.unwrap_or(true))
    }

    /// CreateVolume.
    ///
    /// # Errors
    /// The driver's status.
    pub fn create(&self, name: &str, bytes: i64, shape: &Shape) -> Result<Made, Status> {
        let request = CreateVolumeRequest {
            name: name.to_owned(),
            capacity_range: Some(CapacityRange { required_bytes: bytes, limit_bytes: 0 }),
            volume_capabilities: vec![shape.capability()],
            ..CreateVolumeRequest::default()
        };
        let answer = wait(self.controller().create_volume(request))?;
        let volume = answer.volume.ok_or_else(|| Status::internal("CreateVolume answered no volume"))?;
        Ok(Made { volume, shape: shape.clone() })
    }

    /// DeleteVolume.
    ///
    /// # Errors
    /// The driver's status.
    pub fn delete(&self, volume_id: &str) -> Result<(), Status> {
        let request =
            DeleteVolumeRequest { volume_id: volume_id.to_owned(), ..DeleteVolumeRequest::default() };
        wait(self.controller().delete_volume(request)).map(drop)
    }

    /// ControllerPublishVolume to the node of that name.
    ///
    /// # Errors
    /// The driver's status.
    pub fn attach(&self, made: &Made, node: &str) -> Result<Attached, Status> {
        let request = ControllerPublishVolumeRequest {
            volume_id: made.volume.volume_id.clone(),
            node_id: node_id(node),
            volume_capability: Some(made.shape.capability()),
            volume_context: made.volume.volume_context.clone(),
            ..ControllerPublishVolumeRequest::default()
        };
        let answer = wait(self.controller().controller_publish_volume(request))?;
        Ok(Attached { context: answer.publish_context })
    }

    /// ControllerUnpublishVolume from the node of that name.
    ///
    /// # Errors
    /// The driver's status.
    pub fn detach(&self, made: &Made, node: &str) -> Result<(), Status> {
        let request = ControllerUnpublishVolumeRequest {
            volume_id: made.volume.volume_id.clone(),
            node_id: node_id(node),
            ..ControllerUnpublishVolumeRequest::default()
        };
        wait(self.controller().controller_unpublish_volume(request)).map(drop)
    }

    /// ControllerExpandVolume; answers the new size in bytes.
    ///
    /// # Errors
    /// The driver's status.
    pub fn grow(&self, made: &Made, bytes: i64) -> Result<i64, Status> {
        let request = ControllerExpandVolumeRequest {
            volume_id: made.volume.volume_id.clone(),
            capacity_range: Some(CapacityRange { required_bytes: bytes, limit_bytes: 0 }),
            volume_capability: Some(made.shape.capability()),
            ..ControllerExpandVolumeRequest::default()
        };
        Ok(wait(self.controller().controller_expand_volume(request))?.capacity_bytes)
    }

    /// ListVolumes, all pages.
    ///
    /// # Errors
    /// The driver's status.
    pub fn list(&self, page: i32) -> Result<Vec<list_volumes_response::Entry>, Status> {
        let (mut entries, mut starting_token) = (Vec::new(), String::new());
        loop {
            let request = ListVolumesRequest { max_entries: page, starting_token };
            let answer = wait(self.controller().list_volumes(request))?;
            entries.extend(answer.entries);
            if answer.next_token.is_empty() {
                return Ok(entries);
            }
            starting_token = answer.next_token;
        }
    }

    /// NodeStageVolume.
    ///
    /// # Errors
    /// The driver's status.
    pub fn stage(&self, made: &Made, attached: &Attached, staging: &str) -> Result<(), Status> {
        let request = NodeStageVolumeRequest {
            volume_id: made.volume.volume_id.clone(),
            publish_context: attached.context.clone(),
            staging_target_path: staging.to_owned(),
            volume_capability: Some(made.shape.capability()),
            volume_context: made.volume.volume_context.clone(),
            ..NodeStageVolumeRequest::default()
        };
        wait(self.node().node_stage_volume(self.timed(request))).map(drop)
    }

    /// NodePublishVolume.
    ///
    /// # Errors
    /// The driver's status.
    pub fn publish(
        &self,
        made: &Made,
        attached: &Attached,
        staging: &str,
        target: &str,
    ) -> Result<(), Status> {
        let request = NodePublishVolumeRequest {
            volume_id: made.volume.volume_id.clone(),
            publish_context: attached.context.clone(),
            staging_target_path: staging.to_owned(),
            target_path: target.to_owned(),
            volume_capability: Some(made.shape.capability()),
            volume_context: made.volume.volume_context.clone(),
            ..NodePublishVolumeRequest::default()
        };
        wait(self.node().node_publish_volume(request)).map(drop)
    }

    /// NodeUnpublishVolume.
    ///
    /// # Errors
    /// The driver's status.
    pub fn unpublish(&self, made: &Made, target: &str) -> Result<(), Status> {
        let request = NodeUnpublishVolumeRequest {
            volume_id: made.volume.volume_id.clone(),
            target_path: target.to_owned(),
        };
        wait(self.node().node_unpublish_volume(request)).map(drop)
    }

    /// NodeUnstageVolume.
    ///
    /// # Errors
    /// The driver's status.
    pub fn unstage(&self, made: &Made, staging: &str) -> Result<(), Status> {
        let request = NodeUnstageVolumeRequest {
            volume_id: made.volume.volume_id.clone(),
            staging_target_path: staging.to_owned(),
        };
        wait(self.node().node_unstage_volume(self.timed(request))).map(drop)
    }

    /// NodeExpandVolume.
    ///
    /// # Errors
    /// The driver's status.
    pub fn grow_on_node(&self, made: &Made, staging: &str, target: &str, bytes: i64) -> Result<(), Status> {
        let request = NodeExpandVolumeRequest {
            volume_id: made.volume.volume_id.clone(),
            volume_path: target.to_owned(),
            staging_target_path: staging.to_owned(),
            capacity_range: Some(CapacityRange { required_bytes: bytes, limit_bytes: 0 }),
            volume_capability: Some(made.shape.capability()),
            ..NodeExpandVolumeRequest::default()
        };
        wait(self.node().node_expand_volume(request)).map(drop)
    }

    /// NodeGetVolumeStats.
    ///
    /// # Errors
    /// The driver's status.
    pub fn stats(
        &self,
        made: &Made,
        staging: &str,
        target: &str,
    ) -> Result<NodeGetVolumeStatsResponse, Status> {
        let request = NodeGetVolumeStatsRequest {
            volume_id: made.volume.volume_id.clone(),
            volume_path: target.to_owned(),
            staging_target_path: staging.to_owned(),
        };
        wait(self.node().node_get_volume_stats(request))
    }

    fn timed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(patience) = self.patience {
            request.set_timeout(patience);
        }
        request
    }

    fn controller(&self) -> ControllerClient<Channel> {
        ControllerClient::new(self.channel())
    }

    fn node(&self) -> NodeClient<Channel> {
        NodeClient::new(self.channel())
    }

    fn channel(&self) -> Channel {
        match &self.way {
            Way::Kept(channel) => channel.clone(),
            Way::Anew(endpoint) => {
                let _inside = RUNTIME.enter();
                endpoint.connect_lazy()
            }
        }
    }
}

fn wait<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    RUNTIME.block_on(call).map(Response::into_inner)
}

/// The id that the driver gives a node.
pub(crate) fn node_id(name: &str) -> String {
    format!("rds:{name}")
}
