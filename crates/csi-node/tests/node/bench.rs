//! One node with its service, a target, and requests as the kubelet sends them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use csi_grpc::v1::node_server::Node as _;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use csi_grpc::v1::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use csi_grpc::v1::{
    NodePublishVolumeRequest, NodeStageVolumeRequest, NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest,
    VolumeCapability,
};
use csi_node::{Config, Node};
use csi_server::CallDeadline;
use host::fake::{Export, FakeFabric, FakeKernel, KernelVersion};
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::{Request, Status};
use uuid::Uuid;
use volume::{
    Claim, DataAddress, Generation, HostIdentity, NodeId, NqnPrefix, PublishContext, Slot, Tunables,
    VolumeContext,
};

use crate::kubernetes::{FakeAttachments, Heard};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const SIZE: u64 = 512 * MIB;
pub(crate) const PREFIX: &str = "nqn.2000-02.com.mikrotik";
/// What the kubelet waits for a call.
pub(crate) const CALL: Duration = Duration::from_secs(120);
/// How long an orphan is only said.
pub(crate) const ORPHAN_GRACE: Duration = Duration::from_secs(60);
/// Both, since they differ where it hurts (node.md K2).
pub(crate) const KERNELS: [KernelVersion; 2] = [KernelVersion::V6_1, KernelVersion::V6_12];

/// A volume's name at every place that it has one.
#[derive(Clone)]
pub(crate) struct Vol {
    pub(crate) id: &'static str,
    pub(crate) generation: u64,
    pub(crate) fs: &'static str,
    pub(crate) created: u64,
    pub(crate) size: u64,
    pub(crate) as_block: bool,
    pub(crate) mode: Mode,
    pub(crate) flags: Vec<String>,
}

impl Vol {
    pub(crate) fn ext4(id: &'static str) -> Self {
        Self {
            id,
            generation: 1,
            fs: "ext4",
            created: SIZE,
            size: SIZE,
            as_block: false,
            mode: Mode::SingleNodeMultiWriter,
            flags: Vec::new(),
        }
    }

    pub(crate) fn xfs(id: &'static str) -> Self {
        Self { fs: "xfs", ..Self::ext4(id) }
    }

    pub(crate) fn block(id: &'static str) -> Self {
        Self { fs: "", as_block: true, ..Self::ext4(id) }
    }

    /// The same volume under another attachment.
    pub(crate) fn generation(&self, generation: u64) -> Self {
        Self { generation, ..self.clone() }
    }

    pub(crate) fn slot(&self) -> Slot {
        Slot::parse(self.id).unwrap()
    }

    pub(crate) fn nqn(&self) -> String {
        let prefix = NqnPrefix::parse(PREFIX).unwrap();
        prefix.generation(&self.slot(), Generation::from_bits(self.generation)).to_string()
    }

    pub(crate) fn staging(&self) -> PathBuf {
        format!("/kubelet/plugins/csi/{}/globalmount", self.id).into()
    }

    pub(crate) fn target(&self, pod: &str) -> PathBuf {
        format!("/kubelet/pods/{pod}/{}/mount", self.id).into()
    }

    /// `published_as_block` of the publish context.
    fn publish_context(&self, published_as_block: bool) -> HashMap<String, String> {
        PublishContext {
            nqn: volume::Nqn::parse(&self.nqn()).unwrap(),
            address: DataAddress::new("10.0.0.1", 4420).unwrap(),
            host: Some(HostIdentity::from_id(Uuid::from_u128(77))),
            size_bytes: Some(self.size),
            published_as_block,
            claim: Some(claim()),
        }
        .to_map()
    }

    pub(crate) fn capability(&self) -> VolumeCapability {
        let access_type = if self.as_block {
            AccessType::Block(BlockVolume {})
        } else {
            AccessType::Mount(MountVolume {
                fs_type: self.fs.into(),
                mount_flags: self.flags.clone(),
                ..MountVolume::default()
            })
        };
        VolumeCapability {
            access_mode: Some(AccessMode { mode: self.mode.into() }),
            access_type: Some(access_type),
        }
    }

    pub(crate) fn stage_request(&self) -> NodeStageVolumeRequest {
        let context = VolumeContext {
            created_bytes: Some(self.created),
            tunables: Tunables::default(),
            ..VolumeContext::default()
        };
        NodeStageVolumeRequest {
            volume_id: self.id.into(),
            publish_context: self.publish_context(false),
            staging_target_path: text(&self.staging()),
            volume_capability: Some(self.capability()),
            volume_context: context.to_map(),
            ..NodeStageVolumeRequest::default()
        }
    }

    pub(crate) fn publish_request(&self, pod: &str) -> NodePublishVolumeRequest {
        NodePublishVolumeRequest {
            volume_id: self.id.into(),
            publish_context: self.publish_context(false),
            staging_target_path: text(&self.staging()),
            target_path: text(&self.target(pod)),
            volume_capability: Some(self.capability()),
            ..NodePublishVolumeRequest::default()
        }
    }
}

/// The claim in every publish context.
pub(crate) fn claim() -> Claim {
    Claim { namespace: "shop".into(), name: "data".into(), uid: "c0ffee".into() }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

pub(crate) struct Bench {
    pub(crate) fabric: FakeFabric,
    pub(crate) kernel: FakeKernel,
    pub(crate) node: Node<FakeKernel>,
    pub(crate) registry: Registry,
    pub(crate) state: TempDir,
    pub(crate) heard: Heard,
}

impl Bench {
    pub(crate) fn new(version: KernelVersion) -> Self {
        let fabric = FakeFabric::new("10.0.0.1:4420".parse().unwrap());
        let kernel = FakeKernel::new(&fabric, "a", version);
        Self::on(fabric, kernel)
    }

    /// Another node of the same target.
    pub(crate) fn beside(&self, name: &str) -> Self {
        let kernel = FakeKernel::new(&self.fabric, name, KernelVersion::V6_12);
        Self::on(self.fabric.clone(), kernel)
    }

    fn on(fabric: FakeFabric, kernel: FakeKernel) -> Self {
        let (state, heard) = (tempfile::tempdir().unwrap(), Heard::default());
        let (node, registry) = open(&kernel, state.path(), &heard);
        Self { fabric, kernel, node, registry, state, heard }
    }

    /// With Kubernetes to ask.
    pub(crate) fn asking(self, attachments: &FakeAttachments) -> Self {
        Self { node: self.node.with_attachments(Arc::new(attachments.clone())), ..self }
    }

    /// The next driver process on the same node.
    pub(crate) fn restart(&mut self) {
        self.kernel = self.kernel.restart_driver();
        (self.node, self.registry) = open(&self.kernel, self.state.path(), &self.heard);
    }

    /// The node loses power and boots.
    pub(crate) fn power_loss(&mut self) {
        self.kernel = self.kernel.power_loss();
        (self.node, self.registry) = open(&self.kernel, self.state.path(), &self.heard);
    }

    pub(crate) fn export(&self, vol: &Vol) {
        self.fabric.export(Export {
            nqn: vol.nqn(),
            volume: vol.id.into(),
            namespace_uuid: Uuid::new_v5(&Uuid::nil(), vol.id.as_bytes()),
            bytes: vol.size,
            allowed_hosts: None,
        });
    }

    pub(crate) async fn stage(&self, vol: &Vol) -> Result<(), Status> {
        self.stage_with(vol.stage_request()).await
    }

    pub(crate) async fn stage_with(&self, request: NodeStageVolumeRequest) -> Result<(), Status> {
        self.node.node_stage_volume(call(request)).await.map(|_| ())
    }

    /// A stage of a volume that the controller says was published as block before.
    pub(crate) async fn stage_after_block(&self, vol: &Vol) -> Result<(), Status> {
        let publish_context = vol.publish_context(true);
        self.stage_with(NodeStageVolumeRequest { publish_context, ..vol.stage_request() }).await
    }

    pub(crate) async fn unstage(&self, vol: &Vol) -> Result<(), Status> {
        let request =
            NodeUnstageVolumeRequest { volume_id: vol.id.into(), staging_target_path: text(&vol.staging()) };
        self.node.node_unstage_volume(call(request)).await.map(|_| ())
    }

    pub(crate) async fn publish(&self, vol: &Vol, pod: &str) -> Result<(), Status> {
        self.node.node_publish_volume(call(vol.publish_request(pod))).await.map(|_| ())
    }

    pub(crate) async fn unpublish(&self, vol: &Vol, pod: &str) -> Result<(), Status> {
        let request =
            NodeUnpublishVolumeRequest { volume_id: vol.id.into(), target_path: text(&vol.target(pod)) };
        self.node.node_unpublish_volume(call(request)).await.map(|_| ())
    }

    /// Staged, published to pod `p`, and a file written without fsync.
    pub(crate) async fn in_use(version: KernelVersion, vol: &Vol) -> Self {
        let bench = Self::new(version);
        bench.export(vol);
        bench.stage(vol).await.unwrap();
        bench.publish(vol, "p").await.unwrap();
        match vol.as_block {
            true => bench.kernel.write_block(&vol.target("p"), MIB, b"bytes").unwrap(),
            false => bench.kernel.write_file(&vol.target("p"), "f", b"bytes").unwrap(),
        }
        bench
    }

    /// Nothing of any volume is on the node, and nothing else was touched.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.kernel.leftovers(), Vec::<String>::new());
        assert_eq!(self.records(), Vec::<String>::new());
        self.assert_nothing_foreign_touched();
    }

    /// The drive that the node boots from is there, and no mkfs ran over a file system.
    pub(crate) fn assert_nothing_foreign_touched(&self) {
        assert!(self.kernel.has_local_drive());
        let formats = self.kernel.formats();
        assert!(formats.iter().all(|format| !format.over_filesystem), "{formats:?}");
    }

    /// The names of the stage records.
    pub(crate) fn records(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.state.path().join("stages")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".json")).collect()
    }

    /// The metrics as a scrape sees them.
    pub(crate) async fn scrape(&self) -> String {
        self.node.refresh_gauges().await;
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

fn open(kernel: &FakeKernel, state: &Path, heard: &Heard) -> (Node<FakeKernel>, Registry) {
    let mut registry = Registry::default();
    let config = Config {
        node: NodeId::of_node("worker-1").unwrap(),
        nqn_prefix: NqnPrefix::parse(PREFIX).unwrap(),
        state_dir: state.to_owned(),
        max_volumes: 64,
        max_block_publishes: 3,
        orphan_grace: ORPHAN_GRACE,
        answer_margin: Duration::from_secs(2),
    };
    let node = Node::open(kernel.clone(), config, &mut registry).unwrap();
    (node.with_events(Arc::new(heard.clone())), registry)
}

/// A request with the kubelet's deadline.
pub(crate) fn call<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(CallDeadline(Instant::now() + CALL));
    request
}
