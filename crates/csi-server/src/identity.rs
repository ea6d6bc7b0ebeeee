//! The Identity service (CSI specification, "Identity Service RPC").

use std::collections::HashMap;

use csi_grpc::v1::identity_server;
use csi_grpc::v1::plugin_capability::{Service, Type, service};
use csi_grpc::v1::{
    GetPluginCapabilitiesRequest, GetPluginCapabilitiesResponse, GetPluginInfoRequest, GetPluginInfoResponse,
    PluginCapability, ProbeRequest, ProbeResponse,
};
use tonic::{Request, Response, Status};

use crate::readiness::{Readiness, ReadyState};

/// Says who the plugin is, what it offers, and whether it can serve.
///
/// Probe answers from memory and never fails: a sidecar waits on `ready=false` for ever, but
/// ends on an error (seen in their code).
#[derive(Clone, Debug)]
pub struct Identity {
    info: GetPluginInfoResponse,
    capabilities: Vec<PluginCapability>,
    readiness: Readiness,
}

impl Identity {
    /// `name` in domain notation (`rds.csi.srvlab.io`), the vendor's version of this build, the
    /// service types that the plugin as a whole offers, and the flag that Probe reads.
    pub fn new(
        name: impl Into<String>,
        vendor_version: impl Into<String>,
        offered: &[service::Type],
        readiness: Readiness,
    ) -> Self {
        let info = GetPluginInfoResponse {
            name: name.into(),
            vendor_version: vendor_version.into(),
            manifest: HashMap::new(),
        };
        Self { info, capabilities: offered.iter().copied().map(capability).collect(), readiness }
    }

    /// Adds a capability that is not a service, such as online expansion.
    #[must_use]
    pub fn with_capability(mut self, kind: Type) -> Self {
        self.capabilities.push(PluginCapability { r#type: Some(kind) });
        self
    }
}

fn capability(kind: service::Type) -> PluginCapability {
    PluginCapability { r#type: Some(Type::Service(Service { r#type: kind.into() })) }
}

#[tonic::async_trait]
impl identity_server::Identity for Identity {
    async fn get_plugin_info(
        &self,
        _: Request<GetPluginInfoRequest>,
    ) -> Result<Response<GetPluginInfoResponse>, Status> {
        Ok(Response::new(self.info.clone()))
    }

    async fn get_plugin_capabilities(
        &self,
        _: Request<GetPluginCapabilitiesRequest>,
    ) -> Result<Response<GetPluginCapabilitiesResponse>, Status> {
        Ok(Response::new(GetPluginCapabilitiesResponse { capabilities: self.capabilities.clone() }))
    }

    async fn probe(&self, _: Request<ProbeRequest>) -> Result<Response<ProbeResponse>, Status> {
        let ready = self.readiness.state() == ReadyState::Ready;
        Ok(Response::new(ProbeResponse { ready: Some(ready) }))
    }
}
