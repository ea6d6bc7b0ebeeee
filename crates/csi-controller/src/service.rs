//! The generated service, call by call.

use csi_grpc::v1::controller_server::Controller as Service;
use csi_grpc::v1::{
    ControllerExpandVolumeRequest, ControllerExpandVolumeResponse, ControllerGetCapabilitiesRequest,
    ControllerGetCapabilitiesResponse, ControllerGetVolumeHealthRequest, ControllerGetVolumeHealthResponse,
    ControllerGetVolumeRequest, ControllerGetVolumeResponse, ControllerListVolumeHealthRequest,
    ControllerListVolumeHealthResponse, ControllerModifyVolumeRequest, ControllerModifyVolumeResponse,
    ControllerPublishVolumeRequest, ControllerPublishVolumeResponse, ControllerUnpublishVolumeRequest,
    ControllerUnpublishVolumeResponse, CreateSnapshotRequest, CreateSnapshotResponse, CreateVolumeRequest,
    CreateVolumeResponse, DeleteSnapshotRequest, DeleteSnapshotResponse, DeleteVolumeRequest,
    DeleteVolumeResponse, GetCapacityRequest, GetCapacityResponse, GetSnapshotRequest, GetSnapshotResponse,
    ListSnapshotsRequest, ListSnapshotsResponse, ListVolumesRequest, ListVolumesResponse,
    ValidateVolumeCapabilitiesRequest, ValidateVolumeCapabilitiesResponse,
};
use csi_server::{deadline_of, record_volume_id};
use routeros::Transport;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::Controller;
use crate::capabilities::capabilities;
use crate::controller_publish::controller_publish;
use crate::controller_unpublish::controller_unpublish;
use crate::create_volume::create_volume;
use crate::delete_volume::delete_volume;
use crate::expand_volume::expand_volume;
use crate::get_capacity::get_capacity;
use crate::get_volume::get_volume;
use crate::list_volumes::list_volumes;
use crate::validate::validate;

type Answer<R> = Result<Response<R>, Status>;

/// What is not advertised.
fn unserved<R>(call: &str) -> Answer<R> {
    Err(Status::unimplemented(format!("{call} is not served: its capability is not advertised")))
}

impl<T: Transport> Controller<T> {
    /// The way into every call that is served: past the gate, to the request and its deadline.
    fn enter<R>(&self, request: Request<R>) -> Result<(R, Instant), Status> {
        self.gate.check()?;
        let deadline = deadline_of(&request);
        Ok((request.into_inner(), deadline))
    }
}

#[tonic::async_trait]
impl<T: Transport + 'static> Service for Controller<T> {
    async fn create_volume(&self, request: Request<CreateVolumeRequest>) -> Answer<CreateVolumeResponse> {
        let (request, deadline) = self.enter(request)?;
        self.metrics.volume("create", create_volume(self, &request, deadline)).await.map(Response::new)
    }

    async fn delete_volume(&self, request: Request<DeleteVolumeRequest>) -> Answer<DeleteVolumeResponse> {
        let (request, deadline) = self.enter(request)?;
        record_volume_id(&request.volume_id);
        self.metrics.volume("delete", delete_volume(self, &request, deadline)).await.map(Response::new)
    }

    async fn controller_publish_volume(
        &self,
        request: Request<ControllerPublishVolumeRequest>,
    ) -> Answer<ControllerPublishVolumeResponse> {
        let (request, deadline) = self.enter(request)?;
        record_volume_id(&request.volume_id);
        self.metrics.attach(controller_publish(self, &request, deadline)).await.map(Response::new)
    }

    async fn controller_unpublish_volume(
        &self,
        request: Request<ControllerUnpublishVolumeRequest>,
    ) -> Answer<ControllerUnpublishVolumeResponse> {
        let (request, deadline) = self.enter(request)?;
        record_volume_id(&request.volume_id);
        self.metrics.detach(controller_unpublish(self, &request, deadline)).await.map(Response::new)
    }

    async fn validate_volume_capabilities(
        &self,
        request: Request<ValidateVolumeCapabilitiesRequest>,
    ) -> Answer<ValidateVolumeCapabilitiesResponse> {
        let (request, deadline) = self.enter(request)?;
        record_volume_id(&request.volume_id);
        validate(self, request, deadline).await.map(Response::new)
    }

    async fn list_volumes(&self, request: Request<ListVolumesRequest>) -> Answer<ListVolumesResponse> {
        let (request, deadline) = self.enter(request)?;
        list_volumes(self, &request, deadline).await.map(Response::new)
    }

    async fn get_capacity(&self, request: Request<GetCapacityRequest>) -> Answer<GetCapacityResponse> {
        let (request, deadline) = self.enter(request)?;
        get_capacity(self, &request, deadline).await.map(Response::new)
    }

    async fn controller_expand_volume(
        &self,
        request: Request<ControllerExpandVolumeRequest>,
    ) -> Answer<ControllerExpandVolumeResponse> {
        let (request, deadline) = self.enter(request)?;
        record_volume_id(&request.volume_id);
        self.metrics.volume("expand", expand_volume(self, &request, deadline)).await.map(Response::new)
    }

    async fn controller_get_volume(
        &self,
        request: Request<ControllerGetVolumeRequest>,
    ) -> Answer<ControllerGetVolumeResponse> {
        let (request, deadline) = self.enter(request)?;
        record_volume_id(&request.volume_id);
        get_volume(self, &request, deadline).await.map(Response::new)
    }

    async fn controller_get_capabilities(
        &self,
        _: Request<ControllerGetCapabilitiesRequest>,
    ) -> Answer<ControllerGetCapabilitiesResponse> {
        Ok(Response::new(capabilities()))
    }

    async fn create_snapshot(&self, _: Request<CreateSnapshotRequest>) -> Answer<CreateSnapshotResponse> {
        unserved("CreateSnapshot")
    }

    async fn delete_snapshot(&self, _: Request<DeleteSnapshotRequest>) -> Answer<DeleteSnapshotResponse> {
        unserved("DeleteSnapshot")
    }

    async fn list_snapshots(&self, _: Request<ListSnapshotsRequest>) -> Answer<ListSnapshotsResponse> {
        unserved("ListSnapshots")
    }

    async fn get_snapshot(&self, _: Request<GetSnapshotRequest>) -> Answer<GetSnapshotResponse> {
        unserved("GetSnapshot")
    }

    async fn controller_modify_volume(
        &self,
        _: Request<ControllerModifyVolumeRequest>,
    ) -> Answer<ControllerModifyVolumeResponse> {
        unserved("ControllerModifyVolume")
    }

    async fn controller_list_volume_health(
        &self,
        _: Request<ControllerListVolumeHealthRequest>,
    ) -> Answer<ControllerListVolumeHealthResponse> {
        unserved("ControllerListVolumeHealth")
    }

    async fn controller_get_volume_health(
        &self,
        _: Request<ControllerGetVolumeHealthRequest>,
    ) -> Answer<ControllerGetVolumeHealthResponse> {
        unserved("ControllerGetVolumeHealth")
    }
}
