//! The node's side.

use std::sync::Arc;

use csi_node::Node;
use csi_server::{MAX_MESSAGE_BYTES, record_volume_id};
use host::linux::Linux;
use tonic::{Request, Response, Status};
use volume::Slot;

use super::v1::operator_server::{Operator, OperatorServer};
use super::v1::{DeclareFencedRequest, DeclareFencedResponse, RetryNowRequest, RetryNowResponse};

/// Takes the operator's word for a node.
pub(crate) struct OperatorService {
    node: Arc<Node<Linux>>,
}

/// The service of `node`, ready to be served.
pub(crate) fn server(node: Arc<Node<Linux>>) -> OperatorServer<OperatorService> {
    OperatorServer::new(OperatorService { node }).max_decoding_message_size(MAX_MESSAGE_BYTES)
}

#[tonic::async_trait]
impl Operator for OperatorService {
    async fn declare_fenced(
        &self,
        request: Request<DeclareFencedRequest>,
    ) -> Result<Response<DeclareFencedResponse>, Status> {
        let DeclareFencedRequest { volume_id } = request.into_inner();
        let slot = volume(&volume_id)?;
        let nqns = self.node.declare_fenced(&slot).await.map_err(Status::unavailable)?;
        Ok(Response::new(DeclareFencedResponse { nqns }))
    }

    async fn retry_now(
        &self,
        request: Request<RetryNowRequest>,
    ) -> Result<Response<RetryNowResponse>, Status> {
        let RetryNowRequest { volume_id } = request.into_inner();
        let failures = self.node.retry_now(&volume(&volume_id)?);
        Ok(Response::new(RetryNowResponse { failures }))
    }
}

fn volume(id: &str) -> Result<Slot, Status> {
    let slot = Slot::parse(id).map_err(|error| Status::invalid_argument(error.to_string()))?;
    record_volume_id(slot.as_str());
    Ok(slot)
}
