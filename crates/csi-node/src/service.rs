//! The generated trait: hands each RPC to its file, counts it, and answers in time.

use csi_grpc::v1::node_server;
use csi_grpc::v1::{
    NodeExpandVolumeRequest, NodeExpandVolumeResponse, NodeGetCapabilitiesRequest,
    NodeGetCapabilitiesResponse, NodeGetInfoRequest, NodeGetInfoResponse, NodeGetStorageHealthRequest,
    NodeGetStorageHealthResponse, NodeGetVolumeHealthRequest, NodeGetVolumeHealthResponse,
    NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse, NodePublishVolumeRequest,
    NodePublishVolumeResponse, NodeStageVolumeRequest, NodeStageVolumeResponse, NodeUnpublishVolumeRequest,
    NodeUnpublishVolumeResponse, NodeUnstageVolumeRequest, NodeUnstageVolumeResponse,
};
use csi_server::{deadline_of, record_volume_id};
use host::Host;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::error::Result;
use crate::{Node, capabilities, expand, info, publish, stage, stats, unpublish, unstage};

type Answer<T> = std::result::Result<Response<T>, Status>;

/// One RPC on a volume: its span, its deadline, its metric.
macro_rules! serve {
    ($node:expr, $request:expr, $operation:literal, $rpc:path) => {{
        let started = Instant::now();
        let deadline = $node.answer_by(deadline_of(&$request));
        let request = $request.get_ref();
        record_volume_id(&request.volume_id);
        let result = $rpc($node, request, deadline).await;
        $node.ended($operation, started, result)
    }};
}

impl<H> Node<H> {
    fn ended<T>(&self, operation: &'static str, started: Instant, result: Result<T>) -> Answer<T> {
        self.metrics.operation(operation, result.is_ok(), started.elapsed());
        Ok(Response::new(result?))
    }
}

#[tonic::async_trait]
impl<H: Host> node_server::Node for Node<H> {
    async fn node_stage_volume(
        &self,
        request: Request<NodeStageVolumeRequest>,
    ) -> Answer<NodeStageVolumeResponse> {
        serve!(self, request, "stage", stage::stage)
    }

    async fn node_unstage_volume(
        &self,
        request: Request<NodeUnstageVolumeRequest>,
    ) -> Answer<NodeUnstageVolumeResponse> {
        serve!(self, request, "unstage", unstage::unstage)
    }

    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Answer<NodePublishVolumeResponse> {
        serve!(self, request, "publish", publish::publish)
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Answer<NodeUnpublishVolumeResponse> {
        serve!(self, request, "unpublish", unpublish::unpublish)
    }

    async fn node_expand_volume(
        &self,
        request: Request<NodeExpandVolumeRequest>,
    ) -> Answer<NodeExpandVolumeResponse> {
        serve!(self, request, "expand", expand::expand)
    }

    async fn node_get_volume_stats(
        &self,
        request: Request<NodeGetVolumeStatsRequest>,
    ) -> Answer<NodeGetVolumeStatsResponse> {
        serve!(self, request, "stats", stats::stats)
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Answer<NodeGetCapabilitiesResponse> {
        Ok(Response::new(capabilities::capabilities()))
    }

    async fn node_get_info(&self, _: Request<NodeGetInfoRequest>) -> Answer<NodeGetInfoResponse> {
        Ok(Response::new(info::info(&self.config)))
    }

    async fn node_get_volume_health(
        &self,
        _: Request<NodeGetVolumeHealthRequest>,
    ) -> Answer<NodeGetVolumeHealthResponse> {
        Err(not_offered())
    }

    async fn node_get_storage_health(
        &self,
        _: Request<NodeGetStorageHealthRequest>,
    ) -> Answer<NodeGetStorageHealthResponse> {
        Err(not_offered())
    }
}

/// CSI 1.13's alpha calls; NodeGetVolumeStats has the volume's condition.
fn not_offered() -> Status {
    Status::unimplemented("not among this node's capabilities; NodeGetVolumeStats tells a volume's condition")
}
