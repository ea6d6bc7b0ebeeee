//! ControllerPublishVolume: one read and one write (attachments.md, "Publish").

use std::time::Duration;

use attachment::{Attached, Change, Facts, Plan, Publish, Refusal, Request, Terms, decide};
use csi_grpc::v1::{ControllerPublishVolumeRequest, ControllerPublishVolumeResponse};
use csi_server::Capability;
use routeros::{Outcome, Transport};
use tokio::time::Instant;
use tonic::Status;
use volume::{DataAddress, HostIdentity, NodeId, PublishContext, Slot, VolumeContext};

use crate::controller::wait;
use crate::observe::Volume;
use crate::{Controller, capability, device_error, parse};

mod take_back;

/// A publish, checked.
struct Ask {
    slot: Slot,
    node: NodeId,
    host: HostIdentity,
    address: DataAddress,
    block: bool,
    shared: bool,
}

pub(crate) async fn controller_publish<T: Transport>(
    controller: &Controller<T>,
    request: &ControllerPublishVolumeRequest,
    deadline: Instant,
) -> Result<ControllerPublishVolumeResponse, Status> {
    let ask = controller.parse_publish(request)?;
    let _guard = controller.in_flight.try_start(ask.slot.as_str(), "ControllerPublishVolume")?;
    let context = controller.attach(&ask, deadline).await?;
    Ok(ControllerPublishVolumeResponse { publish_context: context.to_map() })
}

impl<T: Transport> Controller<T> {
    fn parse_publish(&self, request: &ControllerPublishVolumeRequest) -> Result<Ask, Status> {
        let capability = Capability::required(request.volume_capability.as_ref())?;
        capability::served(&capability).map_err(Status::invalid_argument)?;
        if request.readonly {
            let text =
                "readonly is not served: PUBLISH_READONLY is not advertised; mount it read-only instead";
            return Err(Status::invalid_argument(text));
        }
        let slot = parse::required_volume(&request.volume_id)?;
        let node = parse::required_node(&request.node_id)?;
        let context = VolumeContext::parse(&request.volume_context)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Ask {
            slot,
            // Without Kubernetes no Node object is known, so none of its UIDs.
            host: node.host_identity(&self.config.cluster_id, ""),
            node,
            address: context.address.unwrap_or_else(|| self.config.nvme_address.clone()),
            block: capability.is_block(),
            shared: capability.is_multi_node_writer(),
        })
    }

    async fn attach(&self, ask: &Ask, deadline: Instant) -> Result<PublishContext, Status> {
        let mut volume = self.find_ours(&ask.slot, deadline).await?;
        loop {
            let request = Request::Publish(self.wish(ask));
            let plan = self.plan(&volume, &request);
            // What is attached may be closed by a write that still comes, of this process or of the one before.
            let relies_on_row = matches!(plan, Plan::Attached(_) | Plan::Attach(..) | Plan::Close(_));
            if relies_on_row && self.waited_for_doubt(&ask.slot, deadline).await? {
                volume = self.find_ours(&ask.slot, deadline).await?;
                continue;
            }
            match plan {
                Plan::Attached(told) => {
                    self.writes.minted(&ask.slot);
                    return Ok(ask.context(told, &volume));
                }
                Plan::Attach(change, told) => {
                    let written = self.open(&volume, &request, &change, ask, deadline).await?;
                    return Ok(ask.context(told, &written));
                }
                Plan::Close(change) => {
                    let closed = self.write(&volume, &change, ask.address.port, deadline).await;
                    let doing = format!("closing the export of volume {} that nobody holds", ask.slot);
                    volume = closed.map_err(|error| device_error::status(&doing, &error))?;
                }
                Plan::Settle(left) => {
                    let why = "its last node was not seen to let go, and what it sent may still land";
                    wait(&ask.slot, left, deadline, why).await?;
                }
                Plan::Refuse(refusal) => return Err(self.refused(ask, &refusal)),
                Plan::Detach(_)
                | Plan::Detached
                | Plan::Ask(_)
                | Plan::Outranked(_)
                | Plan::Restore(_)
                | Plan::Note(_)
                | Plan::Idle
                | Plan::Later(_) => {
                    return Err(Status::internal("a publish was planned as an unpublish: this is a bug"));
                }
            }
        }
    }

    fn refused(&self, ask: &Ask, refusal: &Refusal) -> Status {
        if refusal.is_conflict() {
            self.metrics.conflict();
        }
        let (slot, node) = (&ask.slot, ask.node.name());
        Status::failed_precondition(format!("volume {slot} cannot be attached to {node}: {refusal}"))
    }

    fn wish(&self, ask: &Ask) -> Publish {
        Publish {
            node: ask.node.clone(),
            uid: None,
            host_nqn: ask.host.nqn.clone(),
            block: ask.block,
            shared: ask.shared,
            mint: self.writes.generation_for(&ask.slot, &ask.node),
            migration_timeout: Duration::ZERO,
        }
    }

    /// What is to be done for a volume, with its settle as it stands now.
    pub(crate) fn plan(&self, volume: &Volume, request: &Request) -> Plan {
        let slot = &volume.slot;
        if !volume.row.nvme_tcp_export && volume.record.holders.is_empty() {
            self.settle.read_closed(slot);
        } else {
            // A closed reading of before is not the end of what is there now.
            self.settle.forget(slot);
        }
        let terms = Terms {
            fencing: self.config.fencing,
            allow_list: self.config.device.allow_list,
            prefix: &self.config.nqn_prefix,
            slot,
            settle_left: self.settle.left(slot),
            grace: Duration::ZERO,
            now: 0,
            term: 0,
            rwx_plain_pods: false,
            pods_unreadable: attachment::PodsUnreadable::Refuse,
        };
        if let Request::Publish(wish) = request
            && terms.drops_list(wish.shared)
        {
            self.said_unlisted.call_once(|| {
                tracing::warn!(
                    "ReadWriteMany volumes are exported without an allow list: the device is not known to take one \
                     of several hosts (--device allow-list=comma)"
                );
            });
        }
        decide(&volume.observed(), request, &Facts::Standalone, &terms)
    }

    /// Writes an attachment: its generation is remembered while the outcome is not known, and what the device took
    /// otherwise than told is taken back, for nobody was told of it.
    async fn open(
        &self,
        volume: &Volume,
        request: &Request,
        change: &Change,
        ask: &Ask,
        deadline: Instant,
    ) -> Result<Volume, Status> {
        if let Request::Publish(wish) = request {
            self.writes.minting(&ask.slot, &ask.node, wish.mint);
        }
        let error = match self.write(volume, change, ask.address.port, deadline).await {
            Ok(written) => {
                self.writes.minted(&ask.slot);
                self.settle.forget(&ask.slot);
                return Ok(written);
            }
            Err(error) => error,
        };
        match error.outcome() {
            // The settle of this generation's end counts anew, should it have begun.
            Outcome::Unknown => self.settle.forget(&ask.slot),
            Outcome::NotApplied => self.writes.minted(&ask.slot),
            Outcome::Applied => {
                self.writes.minted(&ask.slot);
                self.take_back(volume, change, &error, deadline).await;
            }
        }
        Err(device_error::status(&format!("attaching volume {} to {}", ask.slot, ask.node.name()), &error))
    }
}

impl Ask {
    fn context(&self, told: Attached, volume: &Volume) -> PublishContext {
        let port = volume.row.nvme_tcp_server_port.unwrap_or(self.address.port);
        PublishContext {
            nqn: told.nqn,
            address: DataAddress { port, ..self.address.clone() },
            host: Some(self.host.clone()),
            size_bytes: volume.row.size.or(volume.row.file_size),
            published_as_block: told.published_as_block,
            claim: None,
        }
    }
}
