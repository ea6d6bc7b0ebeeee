//! A Kubernetes of our own: objects that tests set, and that the controller asks for; it can stop answering. With it
//! goes an attacher, which does what the real one does around the two calls.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use attachment::{Attachments, Machines, NodeFacts, Want};
use csi_controller::{AllAttachments, Cluster, ClusterNode, Config, Leadership, Unanswered};
use csi_server::ReadyState;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tonic::Status;
use volume::{Claim, Event, Events, Generation, Involved, NodeId, NodeUid, Slot};

use crate::harness::{Device, Driver, Publishing, config};

/// All of it, as the controller is given it. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Kube {
    objects: Arc<Mutex<Objects>>,
    changed: Arc<Notify>,
    lease: Arc<Mutex<Option<Instant>>>,
    wall_clock: Arc<Mutex<u64>>,
    surveys: Surveys,
}

/// Lists for a look over everything, which can be held before they are taken.
#[derive(Clone, Default)]
struct Surveys {
    held: Arc<watch::Sender<bool>>,
    waiting: Arc<Notify>,
}

#[derive(Default)]
struct Objects {
    nodes: BTreeMap<NodeId, ClusterNode>,
    attachments: BTreeMap<(Slot, NodeId), Want>,
    unmapped: BTreeSet<NodeId>,
    machines: Option<Machines>,
    silent: bool,
    unsynced: bool,
    lists: usize,
    doubts: usize,
    marks: BTreeMap<(Slot, NodeId), String>,
    mirror: BTreeMap<Slot, Option<NodeId>>,
    events: Vec<Event>,
}

/// A disk of before this driver, which a PV names.
pub(crate) const ADOPTED: &str = "pvc-adopted";
/// Another, whose record was damaged.
pub(crate) const DAMAGED: &str = "pvc-a-damaged-one";

pub(crate) fn node_id(name: &str) -> NodeId {
    NodeId::of_node(name).unwrap()
}

fn slot(id: &str) -> Slot {
    Slot::parse(id).unwrap()
}

impl Kube {
    /// Nodes that are Ready and use nothing; this process leads for long.
    pub(crate) fn with_nodes(names: &[&str]) -> Self {
        let kube = Self::default();
        for name in names {
            kube.add_node(name, &format!("uid-{name}"));
        }
        kube.lead_for(Duration::from_secs(86_400 * 30));
        kube.set_clock(1_000_000);
        kube
    }

    pub(crate) fn add_node(&self, name: &str, uid: &str) {
        let facts = NodeFacts { uid: NodeUid::of(uid), ready: true, out_of_service: false, in_use: false };
        self.lock().nodes.insert(node_id(name), ClusterNode { uid: uid.to_owned(), facts });
    }

    pub(crate) fn delete_node(&self, name: &str) {
        self.lock().nodes.remove(&node_id(name)).unwrap();
    }

    pub(crate) fn set_node(&self, name: &str, change: impl FnOnce(&mut NodeFacts)) {
        change(&mut self.lock().nodes.get_mut(&node_id(name)).unwrap().facts);
    }

    /// A VolumeAttachment is made, or made anew.
    pub(crate) fn want(&self, id: &str, node: &str) {
        let (name, node) = (format!("csi-{node}"), node_id(node));
        let want = Want { name, node: node.clone(), deleting: false, attached: false, generation: None };
        self.lock().attachments.insert((slot(id), node), want);
    }

    pub(crate) fn set_want(&self, id: &str, node: &str, change: impl FnOnce(&mut Want)) {
        change(self.lock().attachments.get_mut(&(slot(id), node_id(node))).unwrap());
    }

    pub(crate) fn delete_want(&self, id: &str, node: &str) {
        self.lock().attachments.remove(&(slot(id), node_id(node))).unwrap();
    }

    /// A VolumeAttachment for that node maps to no volume.
    pub(crate) fn set_unmapped(&self, node: &str, unmapped: bool) {
        let mut objects = self.lock();
        if unmapped {
            objects.unmapped.insert(node_id(node));
        } else {
            objects.unmapped.remove(&node_id(node));
        }
    }

    pub(crate) fn set_machines(&self, machines: Machines) {
        self.lock().machines = Some(machines);
    }

    /// From now on nothing is answered, or everything again.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.lock().silent = silent;
    }

    /// The watches have not shown their first lists, and so no PV; or they have.
    pub(crate) fn set_synced(&self, synced: bool) {
        self.lock().unsynced = !synced;
    }

    /// From now on the API server takes its time for the list of a look over everything.
    pub(crate) fn hold_surveys(&self) {
        self.surveys.held.send_replace(true);
    }

    /// Waits until such a list was asked for.
    pub(crate) async fn survey_waits(&self) {
        self.surveys.waiting.notified().await;
    }

    /// It answers, with what is there now.
    pub(crate) fn release_surveys(&self) {
        self.surveys.held.send_replace(false);
    }

    /// What the watches tell.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    pub(crate) fn lead_for(&self, time: Duration) {
        *self.lease.lock().unwrap() = Some(Instant::now() + time);
    }

    pub(crate) fn lose_lease(&self) {
        *self.lease.lock().unwrap() = None;
    }

    pub(crate) fn set_clock(&self, seconds: u64) {
        *self.wall_clock.lock().unwrap() = seconds;
    }

    pub(crate) fn pass(&self, seconds: u64) {
        *self.wall_clock.lock().unwrap() += seconds;
    }

    pub(crate) fn lists(&self) -> usize {
        self.lock().lists
    }

    pub(crate) fn doubts(&self) -> usize {
        self.lock().doubts
    }

    pub(crate) fn mark(&self, id: &str, node: &str) -> Option<String> {
        self.lock().marks.get(&(slot(id), node_id(node))).cloned()
    }

    /// The annotation went with its VolumeAttachment.
    pub(crate) fn forget_mark(&self, id: &str, node: &str) {
        self.lock().marks.remove(&(slot(id), node_id(node))).unwrap();
    }

    /// What the PV's annotation says; `None`: nothing was ever mirrored.
    pub(crate) fn mirrored(&self, id: &str) -> Option<Option<NodeId>> {
        self.lock().mirror.get(&slot(id)).cloned()
    }

    /// Every event since the last look: reason and message, those on claims of the claim that is looked up.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = std::mem::take(&mut self.lock().events);
        let shown = |event: &Event| {
            match &event.involved {
                Involved::Claim(claim) => {
                    assert_eq!((claim.name.as_str(), claim.uid.as_str()), ("data", "uid-pvc"))
                }
                Involved::OwnPod => {}
                Involved::Node { .. } => panic!("{event:?}"),
            }
            format!("{} {}", event.reason, event.message)
        };
        events.iter().map(shown).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap()
    }

    fn answering(&self) -> Result<MutexGuard<'_, Objects>, Unanswered> {
        let objects = self.lock();
        if objects.silent { Err(Unanswered("the API server does not answer".into())) } else { Ok(objects) }
    }
}

/// What the real attacher does around the calls.
impl Kube {
    pub(crate) async fn attach(&self, driver: &Driver, ask: Publishing<'_>) -> Result<String, Status> {
        let node = ask.node.strip_prefix("rds:").unwrap();
        if !self.lock().attachments.contains_key(&(slot(ask.id), node_id(node))) {
            self.want(ask.id, node);
        }
        let (id, context) = (ask.id, driver.publish(ask.clone()).await?);
        let nqn = context["nvme_nqn"].clone();
        let generation = nqn.rsplit_once('.').and_then(|(_, text)| Generation::parse(text));
        self.set_want(id, node, |want| (want.attached, want.generation) = (true, generation));
        Ok(nqn)
    }

    pub(crate) async fn detach(&self, driver: &Driver, id: &str, node: &str) -> Result<(), Status> {
        self.set_want(id, node, |want| want.deleting = true);
        driver.unpublish(id, &format!("rds:{node}")).await?;
        self.delete_want(id, node);
        Ok(())
    }
}

#[tonic::async_trait]
impl Cluster for Kube {
    async fn node(&self, node: &NodeId, _: &Slot, _: Instant) -> Result<Option<ClusterNode>, Unanswered> {
        Ok(self.answering()?.nodes.get(node).cloned())
    }

    async fn attachments(&self, slot: &Slot, deadline: Instant) -> Result<Attachments, Unanswered> {
        let AllAttachments { wants, unmapped } = self.all_attachments(deadline).await?;
        let wants = wants.into_iter().filter(|(of, _)| of == slot).map(|(_, want)| want).collect();
        Ok(Attachments { wants, unmapped })
    }

    async fn all_attachments(&self, _: Instant) -> Result<AllAttachments, Unanswered> {
        let mut objects = self.answering()?;
        objects.lists += 1;
        let wants =
            objects.attachments.iter().map(|((slot, _), want)| (slot.clone(), want.clone())).collect();
        Ok(AllAttachments { wants, unmapped: objects.unmapped.clone() })
    }

    async fn surveyed_attachments(&self, deadline: Instant) -> Result<AllAttachments, Unanswered> {
        let mut held = self.surveys.held.subscribe();
        if *held.borrow() {
            self.surveys.waiting.notify_one();
        }
        held.wait_for(|held| !held).await.unwrap();
        self.all_attachments(deadline).await
    }

    async fn machines(&self, _: &Slot, _: &NodeId, _: Instant) -> Result<Machines, Unanswered> {
        Ok(self.answering()?.machines.unwrap_or(Machines::NoMachine))
    }

    fn claim(&self, slot: &Slot) -> Option<Claim> {
        // Only what this driver made has a PV here, and two disks of before it.
        let has_one = slot.cluster().is_some() || [ADOPTED, DAMAGED].contains(&slot.as_str());
        if self.lock().unsynced || !has_one {
            return None;
        }
        Some(Claim { namespace: "default".into(), name: "data".into(), uid: "uid-pvc".into() })
    }

    fn synced(&self) -> Result<(), Unanswered> {
        let missing = || Err(Unanswered("the watch of Nodes has not shown its first list yet".into()));
        if self.lock().unsynced { missing() } else { Ok(()) }
    }

    fn mirror(&self, slot: &Slot, attached: Option<&NodeId>) {
        self.lock().mirror.insert(slot.clone(), attached.cloned());
    }

    async fn mark_unfenced(
        &self,
        slot: &Slot,
        node: &NodeId,
        unfenced: Option<&str>,
        _: Instant,
    ) -> Result<(), Unanswered> {
        let mut objects = self.answering()?;
        let key = (slot.clone(), node.clone());
        match unfenced {
            Some(text) => drop(objects.marks.insert(key, text.to_owned())),
            None => drop(objects.marks.remove(&key)),
        }
        Ok(())
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Leadership for Kube {
    fn sends_until(&self) -> Option<Instant> {
        self.lease.lock().unwrap().filter(|until| *until > Instant::now())
    }

    fn term(&self) -> u32 {
        7
    }

    fn doubt(&self) {
        self.lock().doubts += 1;
    }
}

impl Events for Kube {
    fn post(&self, event: Event) {
        self.lock().events.push(event);
    }
}

impl Device {
    /// A controller that asks this Kubernetes.
    pub(crate) fn driver_in(&self, kube: &Kube, config: Config) -> Driver {
        let clock = Arc::clone(&kube.wall_clock);
        self.driver(config).with(|controller| {
            controller
                .with_cluster(Arc::new(kube.clone()))
                .with_leadership(Arc::new(kube.clone()))
                .with_events(Arc::new(kube.clone()))
                .with_address("https://rds.test")
                .with_wall_clock(move || *clock.lock().unwrap())
        })
    }
}

impl Driver {
    /// Tells a story once this controller has rebuilt; what it said by then is forgotten. Boxed, since stories are long.
    pub(crate) fn leading<'a>(
        &'a self,
        kube: &'a Kube,
        story: impl Future<Output = ()> + 'a,
    ) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(self.watching(async {
            self.becomes(|state| *state == ReadyState::Ready).await;
            kube.events();
            story.await;
        }))
    }
}

/// A device, a Kubernetes with these nodes, and a controller of both.
pub(crate) async fn start(nodes: &[&str]) -> (Device, Kube, Driver) {
    let device = Device::start().await;
    let kube = Kube::with_nodes(nodes);
    let driver = device.driver_in(&kube, config("a"));
    (device, kube, driver)
}
