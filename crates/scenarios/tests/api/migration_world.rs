//! A claim that virtual machines use, with what tests of live migration do to it and look at.

use scenarios::{Cluster, DRIVER, DeviceRequest, STORAGE_CLASS, VirtualMachine, hot_plug_name, hot_plug_pod};
use serde_json::Value;
use testbed::objects::{self, Usage};
use testbed::{Event, refusal, wait_until};

use super::SOON;

/// The class whose migrations time out as soon as any may: after 30 s.
const HASTY: &str = "hasty";
/// What bars new pods from the node that stays (attachments.md, "Unpublish").
const MARK: &str = "rds.csi.srvlab.io/unfenced-member";

/// A bound ReadWriteMany block claim of the namespace `default`.
pub(super) struct Disk<'a> {
    cluster: &'a Cluster,
    pub(super) claim: &'static str,
    volume: String,
    pub(super) handle: String,
}

impl<'a> Disk<'a> {
    /// Makes one whose migrations time out after 30 s.
    pub(super) fn hasty(cluster: &'a Cluster, claim: &'static str) -> Self {
        let class = objects::storage_class(HASTY, DRIVER, &[("migrationTimeoutSeconds", "30")]);
        cluster.admin().apply(&class).unwrap();
        Self::make(cluster, claim, HASTY, Usage::SHARED_BLOCK)
    }

    /// Makes one.
    pub(super) fn shared(cluster: &'a Cluster, claim: &'static str) -> Self {
        Self::make(cluster, claim, STORAGE_CLASS, Usage::SHARED_BLOCK)
    }

    /// Makes one of another usage.
    pub(super) fn make(cluster: &'a Cluster, claim: &'static str, class: &str, usage: Usage) -> Self {
        let api = &cluster.control_plane;
        api.admin().create(&objects::claim(claim, class, "64Mi", usage)).unwrap();
        let volume = api.wait_until_bound(claim, SOON).unwrap();
        let object = api.admin().get(&["persistentvolume", &volume]).unwrap().unwrap();
        let handle = object["spec"]["csi"]["volumeHandle"].as_str().unwrap().to_owned();
        Self { cluster, claim, volume, handle }
    }

    /// The name of its PersistentVolume.
    pub(super) fn persistent_volume(&self) -> &str {
        &self.volume
    }

    /// A launcher of the machine comes to a node, whose kubelet then uses the volume.
    pub(super) fn launch(&self, machine: &VirtualMachine, node: &str) {
        self.set_in_use(node, true);
        self.cluster.admin().create(&machine.launcher(node, &[self.claim])).unwrap();
    }

    /// As [`Disk::launch`], of a claim that is a file system.
    pub(super) fn launch_with_files(&self, machine: &VirtualMachine, node: &str) {
        self.set_in_use(node, true);
        self.cluster.admin().create(&machine.launcher_with_files(node, &[self.claim])).unwrap();
    }

    /// A launcher without disks comes to a node, and the claim is plugged into it.
    pub(super) fn plug(&self, machine: &VirtualMachine, node: &str) {
        self.set_in_use(node, true);
        let launcher = self.cluster.admin().create(&machine.launcher(node, &[])).unwrap();
        self.cluster.admin().create(&hot_plug_pod(&launcher, self.claim)).unwrap();
    }

    /// The launcher of the machine is gone from a node, whose kubelet has let the volume go.
    pub(super) fn end(&self, machine: &VirtualMachine, node: &str) {
        self.forget(machine, node);
        self.set_in_use(node, false);
    }

    /// The launcher of the machine is deleted without its kubelet.
    pub(super) fn forget(&self, machine: &VirtualMachine, node: &str) {
        self.cluster.control_plane.delete_pod(&machine.launcher_name(node)).unwrap();
    }

    /// So is the launcher that it was plugged into, and by that its pod, which the garbage collector deletes.
    pub(super) fn unplug(&self, machine: &VirtualMachine, node: &str) {
        self.forget(machine, node);
        let pod = hot_plug_name(&machine.launcher_name(node));
        let deleted = "--for=jsonpath={.metadata.deletionTimestamp}";
        self.cluster.admin().wait(&["-n", "default", &format!("pod/{pod}"), deleted], SOON).unwrap();
        self.cluster.control_plane.delete_pod(&pod).unwrap();
        self.set_in_use(node, false);
    }

    /// What the kubelet of a node says of it.
    pub(super) fn set_in_use(&self, node: &str, is_used: bool) {
        let unique = format!("kubernetes.io/csi/{DRIVER}^{}", self.handle);
        self.cluster.control_plane.set_in_use(node, &unique, is_used).unwrap();
    }

    /// Waits until it is attached to a node; answers the NQN that the node was told.
    pub(super) fn wait_until_attached(&self, node: &str) -> String {
        let attachment = self.cluster.control_plane.wait_until_attached(&self.volume, node, SOON).unwrap();
        attachment["status"]["attachmentMetadata"]["nvme_nqn"].as_str().unwrap().to_owned()
    }

    pub(super) fn wait_until_detached(&self, node: &str) {
        self.cluster.control_plane.wait_until_detached(&self.volume, node, SOON).unwrap();
    }

    pub(super) fn is_attached(&self, node: &str) -> bool {
        self.attachment(node).is_some_and(|attachment| attachment["status"]["attached"] == true)
    }

    /// Waits until a node was refused it for another one, which is said of the claim; answers what its
    /// VolumeAttachment says.
    pub(super) fn wait_until_refused(&self, node: &str) -> String {
        let said = self.wait_for_refusal(node);
        let start = format!("[{}]: Attachment to node {node} rejected - ", self.handle);
        self.wait_for_event("AttachmentConflict", &start);
        said
    }

    /// Waits until a node was refused it, for whatever reason; answers what its VolumeAttachment says.
    pub(super) fn wait_for_refusal(&self, node: &str) -> String {
        let said = wait_until(&format!("{} refused to {node}", self.claim), SOON, || {
            Ok(self.cluster.control_plane.attachment(&self.volume, node)?.as_ref().and_then(refusal))
        });
        let said = said.unwrap();
        assert!(!self.is_attached(node), "{said}");
        said
    }

    /// Waits for an event of the claim whose message begins so.
    pub(super) fn wait_for_event(&self, reason: &str, start: &str) -> Event {
        let is_it = |event: &Event| event.name == self.claim && event.message.starts_with(start);
        let event = self.cluster.control_plane.wait_for_event(reason, SOON, is_it).unwrap();
        assert_eq!((event.kind.as_str(), event.namespace.as_str()), ("PersistentVolumeClaim", "default"));
        event
    }

    /// The messages of the claim's events of a reason, each as often as it was said.
    pub(super) fn said(&self, reason: &str) -> Vec<(String, u64)> {
        let events = self.cluster.control_plane.events(reason).unwrap().into_iter();
        events.filter(|event| event.name == self.claim).map(|event| (event.message, event.times)).collect()
    }

    /// Prints what `kubectl get events` prints of the claim, but for attaching and detaching.
    pub(super) fn print_events(&self) {
        let of_claim = format!("persistentvolumeclaim/{} ", self.claim);
        for reason in ["MigrationStarted", "MigrationCompleted", "MigrationFailed", "AttachmentConflict"] {
            let lines = self.cluster.control_plane.event_lines(reason).unwrap();
            lines.lines().filter(|line| line.contains(&of_claim)).for_each(|line| eprintln!("{line}"));
        }
    }

    /// Under which NQNs the device exports it.
    pub(super) fn exports(&self) -> Vec<String> {
        let all = self.cluster.device.exports().unwrap().into_iter();
        all.filter(|nqn| nqn.contains(&self.handle)).collect()
    }

    /// How many writes of an export, of whatever volume, the device has served.
    pub(super) fn export_writes(&self) -> usize {
        let served = self.cluster.device.log().unwrap();
        let is_one = |write: &&DeviceRequest| write.method != "GET" && write.body.contains("nvme-tcp-");
        served.iter().filter(is_one).count()
    }

    /// Whose absence bars new pods from a node that has it, as its VolumeAttachment there is marked.
    pub(super) fn mark(&self, node: &str) -> Option<String> {
        self.attachment(node)?["metadata"]["annotations"][MARK].as_str().map(str::to_owned)
    }

    pub(super) fn wait_until_unmarked(&self, node: &str) {
        let unmarked = || Ok(self.mark(node).is_none().then_some(()));
        wait_until(&format!("{} on {node} without the mark", self.claim), SOON, unmarked).unwrap();
    }

    /// Makes an attachment past the attach/detach controller, which knows of accesses that it never grants.
    pub(super) fn attach_by_hand(&self, node: &str) {
        let name = format!("by-hand-{}-{node}", self.claim);
        let object = objects::volume_attachment(&name, DRIVER, node, &self.volume);
        self.cluster.admin().create(&object).unwrap();
    }

    /// Deletes an attachment, as one who has lost patience with a node.
    pub(super) fn detach_by_hand(&self, node: &str) {
        let name = self.attachment(node).unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        self.cluster.control_plane.kubectl(&["delete", "volumeattachment", &name, "--wait=false"]).unwrap();
    }

    fn attachment(&self, node: &str) -> Option<Value> {
        self.cluster.control_plane.attachment(&self.volume, node).unwrap()
    }
}

/// A figure of the leader, by its name and labels; 0 where no such series was begun.
pub(super) fn figure(cluster: &Cluster, series: &str) -> f64 {
    let text = cluster.leader().unwrap().scrape().unwrap();
    let of_series = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(of_series).unwrap_or(0.0)
}

/// How many migrations have ended so.
pub(super) fn ended(cluster: &Cluster, result: &str) -> f64 {
    figure(cluster, &format!("rds_csi_migration_migrations_total{{result=\"{result}\"}}"))
}

/// How many run; known, and so shown, wherever a controller leads.
pub(super) fn active(cluster: &Cluster) -> f64 {
    let text = cluster.leader().unwrap().scrape().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rds_csi_migration_active_migrations "));
    line.unwrap_or_else(|| panic!("unknown:\n{text}")).parse().unwrap()
}
