//! ControllerPublishVolume: one read of the device and one of the Node, and one write (attachments.md, "Publish").

use std::time::Duration;

use attachment::{Attached, Change, Plan, Publish, Refusal, Request};
use csi_grpc::v1::{ControllerPublishVolumeRequest, ControllerPublishVolumeResponse};
use csi_server::Capability;
use routeros::{Outcome, Transport};
use tokio::time::Instant;
use tonic::Status;
use volume::{DataAddress, NodeId, PublishContext, Record, Slot, VolumeContext};

use crate::aftermath::Occasion;
use crate::controller::wait;
use crate::events::News;
use crate::observe::Volume;
use crate::{Controller, capability, device_error, parse};
use host::Host;

mod host;
mod take_back;

/// Writes and waits of one publish at most: closing, restoring and noting come once each before the attachment. More
/// is a plan that undoes what it did.
const MOST_STEPS: usize = 16;

/// A publish, checked.
struct Ask {
    slot: Slot,
    node: NodeId,
    address: DataAddress,
    block: bool,
    shared: bool,
    migration_timeout: Duration,
    context: VolumeContext,
    began: Instant,
}

pub(crate) async fn controller_publish<T: Transport>(
    controller: &Controller<T>,
    request: &ControllerPublishVolumeRequest,
    deadline: Instant,
) -> Result<ControllerPublishVolumeResponse, Status> {
    let ask = controller.parse_publish(request)?;
    let _guard = controller.in_flight.try_start(ask.slot.as_str(), "ControllerPublishVolume")?;
    let context = controller.attach(&ask, deadline).await?;
    // Before it is answered: from now on a VolumeAttachment may say attached.
    controller.ledger.granted(&ask.slot);
    controller.unwanted.forget(&ask.slot);
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
            node,
            address: context.address.clone().unwrap_or_else(|| self.config.nvme_address.clone()),
            block: capability.is_block(),
            shared: capability.is_multi_node_writer(),
            migration_timeout: migration_timeout(&slot, &context),
            slot,
            context,
            began: Instant::now(),
        })
    }

    async fn attach(&self, ask: &Ask, deadline: Instant) -> Result<PublishContext, Status> {
        let (mut volume, host) =
            tokio::try_join!(self.find_ours(&ask.slot, deadline), self.host_of(ask, deadline))?;
        let mut facts = host.known(self.no_facts());
        for _ in 0..MOST_STEPS {
            let request = Request::Publish(self.wish(ask, &host));
            let plan = self.decide(&volume, &request, facts, deadline).await?;
            // What follows may be long after, or the answer to what was just written.
            facts = self.no_facts();
            // What is attached may be closed by a write that still comes, of this process or of the one before.
            let relies_on_row = !matches!(plan, Plan::Settle(_) | Plan::Refuse(_));
            if relies_on_row && self.waited_for_doubt(&ask.slot, deadline).await? {
                volume = self.find_ours(&ask.slot, deadline).await?;
                continue;
            }
            match plan {
                Plan::Attached(told) => {
                    return self.again(ask, &host, told, &volume, &request, deadline).await;
                }
                Plan::Attach(change, told) => {
                    let written = self.open(&volume, &request, &change, ask, deadline).await?;
                    self.mark_shared(&ask.slot, &written.record, deadline).await?;
                    return Ok(self.context(ask, &host, told, &written));
                }
                Plan::Close(change) | Plan::Restore(change) | Plan::Note(change) => {
                    volume = self.change(&volume, &request, &change, ask, deadline).await?;
                }
                Plan::Settle(left) => {
                    let why = "its last node was not seen to let go, and what it sent may still land";
                    wait(&ask.slot, left, deadline, why).await?;
                }
                Plan::Refuse(refusal) => return Err(self.refused(ask, &refusal)),
                Plan::Detach(_)
                | Plan::Detached
                | Plan::Idle
                | Plan::Ask(_)
                | Plan::Outranked(_)
                | Plan::Later(_) => {
                    return Err(Status::internal("a publish was planned as something else: this is a bug"));
                }
            }
        }
        Err(Status::internal(format!("volume {}: a publish plans without end: this is a bug", ask.slot)))
    }

    fn refused(&self, ask: &Ask, refusal: &Refusal) -> Status {
        let (slot, node) = (&ask.slot, ask.node.name());
        if refusal.is_conflict() {
            self.metrics.conflict();
            let news = News::Conflict { node: &ask.node, refusal };
            self.tell(slot, self.claim(slot, Some(&ask.context)), &news);
        }
        let text = format!("volume {slot} cannot be attached to {node}: {refusal}");
        match refusal {
            Refusal::NoNode(_) => Status::not_found(text),
            _ => Status::failed_precondition(text),
        }
    }

    fn wish(&self, ask: &Ask, host: &Host) -> Publish {
        Publish {
            node: ask.node.clone(),
            uid: host.uid,
            host_nqn: host.identity.nqn.clone(),
            block: ask.block,
            shared: ask.shared,
            mint: self.writes.generation_for(&ask.slot, &ask.node),
            migration_timeout: ask.migration_timeout,
        }
    }

    /// A holder asked again. If the write of an earlier try had an unknown outcome, it is now known: news.
    async fn again(
        &self,
        ask: &Ask,
        host: &Host,
        told: Attached,
        volume: &Volume,
        request: &Request,
        deadline: Instant,
    ) -> Result<PublishContext, Status> {
        self.mark_shared(&ask.slot, &volume.record, deadline).await?;
        self.writes.minted(&ask.slot);
        if let Some(before) = self.unsaid.done(&ask.slot, request) {
            self.has_got(ask, &before, volume, request);
        }
        Ok(self.context(ask, host, told, volume))
    }

    /// A step before the attachment: closing what nobody has a right to, restoring what stands.
    async fn change(
        &self,
        volume: &Volume,
        request: &Request,
        change: &Change,
        ask: &Ask,
        deadline: Instant,
    ) -> Result<Volume, Status> {
        self.mark_before(&ask.slot, &volume.record, &change.record, deadline).await?;
        let written = self.write(volume, change, ask.address.port, deadline).await;
        let doing = format!("preparing volume {} for {}", ask.slot, ask.node.name());
        let written = written.map_err(|error| device_error::status(&doing, &error))?;
        self.after_write(&ask.slot, &volume.record, &written.record, &ask.occasion(request));
        Ok(written)
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
            self.say_unlisted(&ask.slot, wish.shared);
            self.writes.minting(&ask.slot, &ask.node, wish.mint);
        }
        let error = match self.write(volume, change, ask.address.port, deadline).await {
            Ok(written) => {
                self.writes.minted(&ask.slot);
                self.settle.forget(&ask.slot);
                self.has_got(ask, &volume.record, &written, request);
                return Ok(written);
            }
            Err(error) => error,
        };
        match error.outcome() {
            // The settle of this generation's end counts anew, should it have begun.
            Outcome::Unknown => {
                self.settle.forget(&ask.slot);
                self.unsaid.unknown(&ask.slot, request, &volume.record);
            }
            Outcome::NotApplied => self.writes.minted(&ask.slot),
            Outcome::Applied => {
                self.writes.minted(&ask.slot);
                self.take_back(volume, change, &error, deadline).await;
            }
        }
        Err(device_error::status(&format!("attaching volume {} to {}", ask.slot, ask.node.name()), &error))
    }

    /// The node has the volume since just now.
    fn has_got(&self, ask: &Ask, before: &Record, written: &Volume, request: &Request) {
        if before.holders.is_empty() && self.hand_offs.attached(&ask.slot) {
            self.metrics.grace_period_used();
        }
        self.after_write(&ask.slot, before, &written.record, &ask.occasion(request));
    }

    fn say_unlisted(&self, slot: &Slot, shared: bool) {
        if self.terms(slot).drops_list(shared) {
            self.said_unlisted.call_once(|| {
                tracing::warn!(
                    "ReadWriteMany volumes are exported without an allow list: the device is not known to take one \
                     of several hosts (--device allow-list=comma)"
                );
            });
        }
    }

    fn context(&self, ask: &Ask, host: &Host, told: Attached, volume: &Volume) -> PublishContext {
        let port = volume.row.nvme_tcp_server_port.unwrap_or(ask.address.port);
        PublishContext {
            nqn: told.nqn,
            address: DataAddress { port, ..ask.address.clone() },
            host: Some(host.identity.clone()),
            size_bytes: volume.row.size.or(volume.row.file_size),
            published_as_block: told.published_as_block,
            claim: self.claim(&ask.slot, Some(&ask.context)),
        }
    }
}

impl Ask {
    fn occasion<'a>(&'a self, request: &'a Request) -> Occasion<'a> {
        Occasion { request, began: self.began, context: Some(&self.context) }
    }
}

/// R18: 30 to 3600 s; a context that was edited by hand is taken to the nearer end.
fn migration_timeout(slot: &Slot, context: &VolumeContext) -> Duration {
    const DEFAULT: u32 = 300;
    let asked = context.migration_timeout.unwrap_or(DEFAULT);
    let served = asked.clamp(30, 3600);
    if served != asked {
        tracing::warn!(%slot, asked, served, "migrationTimeoutSeconds is out of 30 to 3600");
    }
    Duration::from_secs(served.into())
}
