//! Which PersistentVolume is a volume's, and whose claim it serves (R13): an index that one watch fills.
//!
//! Only names are kept, and only of this driver's PVs; the objects are dropped as they come.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use futures::{StreamExt as _, pin_mut};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use volume::{Claim, Slot};

use crate::edge::Edge;
use crate::live::LARGE_PAGE;
use crate::trimmed::{ClaimReference, PersistentVolume};

/// Seconds until a watch is opened anew: a connection that died silently is noticed this much later.
const WATCH_SECONDS: u32 = 60;

/// How everything is watched, after a first list of so many objects a page.
pub(crate) fn watch_config(page: u32) -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(page)
}

/// What is known of a PV of this driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentVolumeEntry {
    /// The PV's name.
    pub name: Arc<str>,
    /// Its `spec.csi.volumeHandle`.
    pub handle: Arc<str>,
    /// Its `spec.claimRef`; `None` where it is not bound.
    pub claim: Option<Arc<Claim>>,
}

#[derive(Default)]
struct Index {
    by_name: HashMap<Arc<str>, PersistentVolumeEntry>,
    /// Handle, then PV: two PVs may name one volume, as after a restore by hand.
    by_handle: BTreeSet<(Arc<str>, Arc<str>)>,
}

/// The index; clones share it.
#[derive(Clone)]
pub struct Claims {
    index: Arc<RwLock<Index>>,
    synced: watch::Sender<bool>,
}

impl Claims {
    /// An index that nothing fills yet.
    #[must_use]
    pub fn empty() -> Self {
        Self { index: Arc::default(), synced: watch::Sender::new(false) }
    }

    /// Starts the watch, which runs until `stop`.
    #[must_use]
    pub fn watch(client: Client, driver: impl Into<String>, stop: CancellationToken) -> Self {
        let claims = Self::empty();
        let follow = claims.clone().follow(Api::all(client), driver.into());
        tokio::spawn(stop.run_until_cancelled_owned(follow));
        claims
    }

    /// The claim of the volume, where a PV names both.
    #[must_use]
    pub fn claim(&self, slot: &Slot) -> Option<Claim> {
        self.entries(slot.as_str()).into_iter().find_map(|entry| entry.claim.as_deref().cloned())
    }

    /// The PVs that name the volume.
    #[must_use]
    pub fn persistent_volumes(&self, slot: &Slot) -> Vec<String> {
        self.entries(slot.as_str()).iter().map(|entry| entry.name.to_string()).collect()
    }

    /// The handle that the PV names, as the watch last said. A PV's source cannot be changed.
    #[must_use]
    pub fn handle(&self, persistent_volume: &str) -> Option<Arc<str>> {
        self.read().by_name.get(persistent_volume).map(|entry| Arc::clone(&entry.handle))
    }

    /// Whether the first list has come.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Waits for the first list.
    pub async fn synced(&self) {
        // It ends only with the sender, which this value holds.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Takes over an entry: what the watch does.
    pub fn insert(&self, entry: PersistentVolumeEntry) {
        self.write().insert(entry);
    }

    fn entries(&self, handle: &str) -> Vec<PersistentVolumeEntry> {
        let index = self.read();
        let first: (Arc<str>, Arc<str>) = (handle.into(), "".into());
        let named = index.by_handle.range(first..).take_while(|(of, _)| &**of == handle);
        named.filter_map(|(_, name)| index.by_name.get(name).cloned()).collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow(self, api: Api<PersistentVolume>, driver: String) {
        let mut edge = Edge::new("watching PersistentVolumes");
        let mut fresh = Index::default();
        let events = watcher(api, watch_config(LARGE_PAGE)).default_backoff();
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    edge.worked();
                    self.apply(event, &driver, &mut fresh);
                }
                Err(error) => edge.failed(&crate::ask::chain(&error)),
            }
        }
    }

    /// One event of the watch; `fresh` collects a list until it is whole.
    fn apply(&self, event: Event<PersistentVolume>, driver: &str, fresh: &mut Index) {
        match event {
            Event::Init => *fresh = Index::default(),
            Event::InitApply(object) => fresh.apply(&object, driver),
            Event::InitDone => {
                *self.write() = std::mem::take(fresh);
                self.synced.send_replace(true);
            }
            Event::Apply(object) => self.write().apply(&object, driver),
            Event::Delete(object) => {
                self.write().remove(object.metadata.name.as_deref().unwrap_or_default());
            }
        }
    }
}

impl Index {
    fn apply(&mut self, object: &PersistentVolume, driver: &str) {
        match entry(object, driver) {
            Some(entry) => self.insert(entry),
            None => self.remove(object.metadata.name.as_deref().unwrap_or_default()),
        }
    }

    fn insert(&mut self, entry: PersistentVolumeEntry) {
        self.remove(&entry.name);
        self.by_handle.insert((Arc::clone(&entry.handle), Arc::clone(&entry.name)));
        self.by_name.insert(Arc::clone(&entry.name), entry);
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.by_name.remove(name) {
            self.by_handle.remove(&(entry.handle, entry.name));
        }
    }
}

/// What to keep of a PV; `None` for one of another driver, or without a name or handle.
pub(crate) fn entry(object: &PersistentVolume, driver: &str) -> Option<PersistentVolumeEntry> {
    let name = object.metadata.name.as_deref().filter(|name| !name.is_empty())?;
    let handle = object.spec.handle(driver)?;
    let claim = object.spec.claim_ref.as_ref().and_then(claim).map(Arc::new);
    Some(PersistentVolumeEntry { name: name.into(), handle: handle.into(), claim })
}

fn claim(reference: &ClaimReference) -> Option<Claim> {
    let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Some(Claim {
        namespace: named(&reference.namespace)?,
        name: named(&reference.name)?,
        uid: reference.uid.clone().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::{Value, json};

    const DRIVER: &str = "rds.csi.srvlab.io";

    fn object(name: &str, handle: &str, reference: Value) -> PersistentVolume {
        let csi = json!({"driver": DRIVER, "volumeHandle": handle});
        serde_json::from_value(
            json!({"metadata": {"name": name}, "spec": {"csi": csi, "claimRef": reference}}),
        )
        .unwrap()
    }

    fn bound(claim: &str) -> Value {
        json!({"namespace": "apps", "name": claim, "uid": format!("uid-{claim}")})
    }

    fn slot() -> Slot {
        Slot::parse("pvc-1").unwrap()
    }

    fn apply(claims: &Claims, events: impl IntoIterator<Item = Event<PersistentVolume>>) {
        let mut fresh = Index::default();
        events.into_iter().for_each(|event| claims.apply(event, DRIVER, &mut fresh));
    }

    #[test]
    fn the_claim_follows_the_persistent_volume_and_not_its_name() {
        let claims = Claims::empty();
        apply(&claims, [Event::Apply(object("anything", "pvc-1", json!(null)))]);
        assert_eq!(claims.claim(&slot()), None);
        assert_eq!(claims.persistent_volumes(&slot()), ["anything"]);
        apply(&claims, [Event::Apply(object("anything", "pvc-1", bound("data")))]);
        let claim = claims.claim(&slot()).unwrap();
        assert_eq!((&*claim.namespace, &*claim.name, &*claim.uid), ("apps", "data", "uid-data"));
        assert_eq!(claims.handle("anything").as_deref(), Some("pvc-1"));
        apply(&claims, [Event::Delete(object("anything", "pvc-1", json!(null)))]);
        assert!(claims.persistent_volumes(&slot()).is_empty() && claims.handle("anything").is_none());
    }

    #[test]
    fn of_two_that_name_one_volume_the_bound_one_answers_and_the_other_is_left_after_it() {
        let claims = Claims::empty();
        let events = [object("a", "pvc-1", json!(null)), object("b", "pvc-1", bound("data"))];
        apply(&claims, events.map(Event::Apply));
        assert_eq!(claims.claim(&slot()).unwrap().name, "data");
        apply(&claims, [Event::Delete(object("b", "pvc-1", bound("data")))]);
        assert_eq!(claims.persistent_volumes(&slot()), ["a"]);
    }

    #[test]
    fn a_new_list_replaces_the_index_only_when_it_is_whole() {
        let claims = Claims::empty();
        let old = object("old", "pvc-1", bound("data"));
        apply(&claims, [Event::Init, Event::InitApply(old), Event::InitDone]);
        assert!(claims.is_synced());
        let mut fresh = Index::default();
        claims.apply(Event::Init, DRIVER, &mut fresh);
        claims.apply(Event::InitApply(object("new", "pvc-1", bound("data"))), DRIVER, &mut fresh);
        assert_eq!(claims.persistent_volumes(&slot()), ["old"]);
        claims.apply(Event::InitDone, DRIVER, &mut fresh);
        assert_eq!(claims.persistent_volumes(&slot()), ["new"]);
    }

    #[test]
    fn objects_with_missing_fields_are_passed_over() {
        let claims = Claims::empty();
        for object in [
            json!({}),
            json!({"metadata": {"name": "x"}, "spec": null}),
            json!({"metadata": {"name": "x"}, "spec": {"csi": {}}}),
            json!({"metadata": {"name": "x"}, "spec": {"csi": {"driver": DRIVER}}}),
            json!({"metadata": {"name": "x"}, "spec": {"csi": {"driver": "other", "volumeHandle": "pvc-1"}}}),
            json!({"spec": {"csi": {"driver": DRIVER, "volumeHandle": "pvc-1"}}}),
        ] {
            apply(&claims, [Event::Apply(serde_json::from_value(object).unwrap())]);
        }
        assert!(claims.persistent_volumes(&slot()).is_empty());
        for half in [json!({}), json!({"name": "data"}), json!({"namespace": "apps", "name": ""})] {
            apply(&claims, [Event::Apply(object("half", "pvc-1", half))]);
            assert_eq!(claims.claim(&slot()), None);
        }
        apply(&claims, [Event::Apply(object("half", "pvc-1", json!({"namespace": "apps", "name": "data"})))]);
        assert_eq!(claims.claim(&slot()).unwrap().uid, "");
    }
}
