//! The steps of a volume's life, as the CO takes them.

use std::path::PathBuf;
use std::time::Duration;

use csi_grpc::v1::controller_server::Controller as _;
use csi_grpc::v1::node_server::Node as _;
use csi_grpc::v1::*;
use scenarios::Shape;
use tonic::{Request, Status};
use volume::MIB;

use crate::world::{Actor, Map, World};

/// One call of the CO; the number is the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Attach(usize),
    Stage(usize),
    Publish(usize),
    Grow,
    GrowOnNode(usize),
    Unpublish(usize),
    Unstage(usize),
    Detach(usize),
    Delete,
}

/// What is made, and what it grows to, in bytes.
const SIZE: u64 = 512 * MIB;
const GROWN: u64 = 768 * MIB;
/// What the pod writes.
const NAME: &str = "file";
/// Where a pod writes on a raw block device: past everything that a file system would put at its start.
const AT: u64 = 32 * MIB;

/// What the CO knows of one volume.
#[derive(Clone)]
pub(crate) struct Claim {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    volume: Option<Volume>,
    context: [Map; 2],
    /// What a pod has written and synced last.
    written: Option<Vec<u8>>,
}

impl Step {
    pub(crate) fn actor(self) -> Actor {
        match self {
            Self::Create | Self::Attach(_) | Self::Grow | Self::Detach(_) | Self::Delete => Actor::Controller,
            Self::Stage(node) | Self::Publish(node) | Self::GrowOnNode(node) => Actor::Node(node),
            Self::Unpublish(node) | Self::Unstage(node) => Actor::Node(node),
        }
    }
}

impl Claim {
    pub(crate) fn new(name: &str, shape: Shape) -> Self {
        let context = [Map::new(), Map::new()];
        Self { name: name.to_owned(), shape, volume: None, context, written: None }
    }

    /// The disk's slot.
    pub(crate) fn slot(&self) -> String {
        self.id()
    }

    fn id(&self) -> String {
        self.volume.as_ref().map(|volume| volume.volume_id.clone()).unwrap_or_default()
    }

    fn staging(&self) -> String {
        format!("/kubelet/plugins/{}/globalmount", self.id())
    }

    pub(crate) fn target(&self) -> String {
        format!("/kubelet/pods/{}/mount", self.id())
    }

    /// Makes one call.
    pub(crate) async fn call(&mut self, world: &World, step: Step) -> Result<(), Status> {
        match step {
            Step::Create => self.create(world).await,
            Step::Attach(node) => self.attach(world, node).await,
            Step::Stage(node) => self.stage(world, node).await,
            Step::Publish(node) => self.publish(world, node).await,
            Step::Grow => self.grow(world).await,
            Step::GrowOnNode(node) => self.grow_on_node(world, node).await,
            Step::Unpublish(node) => self.unpublish(world, node).await,
            Step::Unstage(node) => self.unstage(world, node).await,
            Step::Detach(node) => self.detach(world, node).await,
            Step::Delete => self.delete(world).await,
        }
    }

    /// Calls again until the step succeeds, as a CO does.
    pub(crate) async fn converge(&mut self, world: &World, step: Step) {
        let mut last = None;
        for _ in 0..20 {
            match self.call(world, step).await {
                Ok(()) => return,
                Err(status) => last = Some(status),
            }
            tokio::time::sleep(Duration::from_secs(15)).await;
        }
        panic!("{step:?} of {} never succeeds: {last:?}", self.name);
    }

    /// A pod writes and syncs.
    pub(crate) fn write(&mut self, world: &World, node: usize, bytes: &[u8]) {
        let (kernel, target) = (&world.nodes[node].kernel, PathBuf::from(self.target()));
        if self.shape.fs.is_some() {
            kernel.write_file(&target, NAME, bytes).unwrap();
            kernel.fsync(&target).unwrap();
        } else {
            kernel.write_block(&target, AT, bytes).unwrap();
            kernel.fsync_block(&target).unwrap();
        }
        self.written = Some(bytes.to_vec());
    }

    /// A pod reads what was last written and synced, wherever that was.
    pub(crate) fn assert_whole(&self, world: &World, node: usize) {
        let Some(written) = &self.written else { return };
        let (kernel, target) = (&world.nodes[node].kernel, PathBuf::from(self.target()));
        let read = if self.shape.fs.is_some() {
            kernel.read_file(&target, NAME).unwrap()
        } else {
            kernel.read_block(&target, AT, written.len() as u64).unwrap()
        };
        assert_eq!(&read, written, "{} on node {node}", self.name);
    }

    async fn create(&mut self, world: &World) -> Result<(), Status> {
        let request = CreateVolumeRequest {
            name: self.name.clone(),
            capacity_range: Some(CapacityRange { required_bytes: SIZE as i64, limit_bytes: 0 }),
            volume_capabilities: vec![self.shape.capability()],
            ..Default::default()
        };
        self.volume = world.controller.create_volume(Request::new(request)).await?.into_inner().volume;
        Ok(())
    }

    async fn attach(&mut self, world: &World, node: usize) -> Result<(), Status> {
        let request = ControllerPublishVolumeRequest {
            volume_id: self.id(),
            node_id: node_id(node),
            volume_capability: Some(self.shape.capability()),
            volume_context: self.volume_context(),
            ..Default::default()
        };
        let answer = world.controller.controller_publish_volume(Request::new(request)).await?;
        self.context[node] = answer.into_inner().publish_context;
        Ok(())
    }

    async fn stage(&self, world: &World, node: usize) -> Result<(), Status> {
        let request = NodeStageVolumeRequest {
            volume_id: self.id(),
            publish_context: self.context[node].clone(),
            staging_target_path: self.staging(),
            volume_capability: Some(self.shape.capability()),
            volume_context: self.volume_context(),
            ..Default::default()
        };
        world.nodes[node].service.node_stage_volume(Request::new(request)).await.map(drop)
    }

    async fn publish(&self, world: &World, node: usize) -> Result<(), Status> {
        let request = NodePublishVolumeRequest {
            volume_id: self.id(),
            publish_context: self.context[node].clone(),
            staging_target_path: self.staging(),
            target_path: self.target(),
            volume_capability: Some(self.shape.capability()),
            volume_context: self.volume_context(),
            ..Default::default()
        };
        world.nodes[node].service.node_publish_volume(Request::new(request)).await.map(drop)
    }

    async fn grow(&self, world: &World) -> Result<(), Status> {
        let request = ControllerExpandVolumeRequest {
            volume_id: self.id(),
            capacity_range: Some(CapacityRange { required_bytes: GROWN as i64, limit_bytes: 0 }),
            volume_capability: Some(self.shape.capability()),
            ..Default::default()
        };
        world.controller.controller_expand_volume(Request::new(request)).await.map(drop)
    }

    async fn grow_on_node(&self, world: &World, node: usize) -> Result<(), Status> {
        let request = NodeExpandVolumeRequest {
            volume_id: self.id(),
            volume_path: self.target(),
            staging_target_path: self.staging(),
            capacity_range: Some(CapacityRange { required_bytes: GROWN as i64, limit_bytes: 0 }),
            volume_capability: Some(self.shape.capability()),
            ..Default::default()
        };
        world.nodes[node].service.node_expand_volume(Request::new(request)).await.map(drop)
    }

    async fn unpublish(&self, world: &World, node: usize) -> Result<(), Status> {
        let request = NodeUnpublishVolumeRequest { volume_id: self.id(), target_path: self.target() };
        world.nodes[node].service.node_unpublish_volume(Request::new(request)).await.map(drop)
    }

    async fn unstage(&self, world: &World, node: usize) -> Result<(), Status> {
        let request = NodeUnstageVolumeRequest { volume_id: self.id(), staging_target_path: self.staging() };
        world.nodes[node].service.node_unstage_volume(Request::new(request)).await.map(drop)
    }

    async fn detach(&self, world: &World, node: usize) -> Result<(), Status> {
        let request = ControllerUnpublishVolumeRequest {
            volume_id: self.id(),
            node_id: node_id(node),
            ..Default::default()
        };
        world.controller.controller_unpublish_volume(Request::new(request)).await.map(drop)
    }

    async fn delete(&self, world: &World) -> Result<(), Status> {
        let request = DeleteVolumeRequest { volume_id: self.id(), ..Default::default() };
        world.controller.delete_volume(Request::new(request)).await.map(drop)
    }

    fn volume_context(&self) -> Map {
        self.volume.as_ref().map(|volume| volume.volume_context.clone()).unwrap_or_default()
    }
}

fn node_id(node: usize) -> String {
    format!("rds:{}", ["a", "b"][node])
}
