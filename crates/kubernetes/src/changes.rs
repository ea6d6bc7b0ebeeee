//! Tells when something happened in the cluster that the reconciler may have to see to (R19).
//!
//! Watches only *wake* it: every decision asks live (attachments.md). What is remembered of Nodes is there to see
//! an edge, and nothing else.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt as _, pin_mut};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::ask::chain;
use crate::claims::watch_config;
use crate::edge::Edge;
use crate::live::{LARGE_PAGE, PAGE};
use crate::nodes::{is_out_of_service, is_ready};
use crate::trimmed::{Node, VolumeAttachment};

/// Which watches have delivered their first list.
#[derive(Debug, Default)]
struct Delivered {
    nodes: AtomicBool,
    attachments: AtomicBool,
}

/// The watches on Nodes and VolumeAttachments; clones share them.
#[derive(Clone)]
pub struct Changes {
    wake: Arc<Notify>,
    delivered: Arc<Delivered>,
}

/// What of a Node is worth waking up for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    uid: Option<String>,
    ready: bool,
    out_of_service: bool,
}

impl Changes {
    /// Starts the watches, which run until `stop`.
    #[must_use]
    pub fn watch(client: Client, driver: impl Into<String>, stop: CancellationToken) -> Self {
        let changes = Self { wake: Arc::default(), delivered: Arc::default() };
        let mut nodes = HashMap::new();
        let watched = changes.clone();
        let on_node = move |event| watched.node(&mut nodes, event);
        let follow_nodes = follow::<Node>(client.clone(), "watching Nodes", PAGE, on_node);
        let driver = driver.into();
        let watched = changes.clone();
        let on_attachment = move |event| watched.attachment(&driver, event);
        let follow_attachments =
            follow::<VolumeAttachment>(client, "watching VolumeAttachments", LARGE_PAGE, on_attachment);
        tokio::spawn(stop.clone().run_until_cancelled_owned(follow_nodes));
        tokio::spawn(stop.run_until_cancelled_owned(follow_attachments));
        changes
    }

    /// Waits for the next change; returns at once if there was one since the last call.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// A kind of objects whose first list has not come yet; `None`: both watches have shown theirs.
    #[must_use]
    pub fn awaited(&self) -> Option<&'static str> {
        if !self.delivered.nodes.load(Ordering::Acquire) {
            return Some("Nodes");
        }
        (!self.delivered.attachments.load(Ordering::Acquire)).then_some("VolumeAttachments")
    }

    fn node(&self, nodes: &mut HashMap<String, Seen>, event: Event<Node>) {
        match event {
            Event::Init => nodes.clear(),
            Event::InitApply(node) => {
                nodes.extend(see(&node));
            }
            // What happened while nobody watched is not known.
            Event::InitDone => {
                self.delivered.nodes.store(true, Ordering::Release);
                self.wake.notify_one();
            }
            Event::Apply(node) => {
                let Some((name, seen)) = see(&node) else { return };
                if nodes.insert(name, seen.clone()).is_some_and(|before| before != seen) {
                    self.wake.notify_one();
                }
            }
            Event::Delete(node) => {
                nodes.remove(node.metadata.name.as_deref().unwrap_or_default());
                self.wake.notify_one();
            }
        }
    }

    fn attachment(&self, driver: &str, event: Event<VolumeAttachment>) {
        match event {
            Event::InitDone => {
                self.delivered.attachments.store(true, Ordering::Release);
                self.wake.notify_one();
            }
            // The attacher takes `attached` away before it lets an object go: one that goes with it was torn off.
            Event::Delete(object) if object.spec.is_of(driver) && object.status.is_attached() => {
                self.wake.notify_one();
            }
            Event::Init | Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
        }
    }
}

fn see(node: &Node) -> Option<(String, Seen)> {
    let name = node.metadata.name.clone()?;
    let seen = Seen {
        uid: node.metadata.uid.clone(),
        ready: is_ready(node),
        out_of_service: is_out_of_service(node),
    };
    Some((name, seen))
}

async fn follow<K>(client: Client, what: &'static str, page: u32, mut each: impl FnMut(Event<K>))
where
    K: Resource<Scope = k8s_openapi::ClusterResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
    K::DynamicType: Default,
{
    let mut edge = Edge::new(what);
    let events = watcher(Api::<K>::all(client), watch_config(page)).default_backoff();
    pin_mut!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                edge.worked();
                each(event);
            }
            Err(error) => edge.failed(&chain(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use futures::FutureExt as _;
    use serde_json::{Value, json};

    const DRIVER: &str = "rds.csi.srvlab.io";

    fn quiet() -> Changes {
        Changes { wake: Arc::default(), delivered: Arc::default() }
    }

    fn woken(changes: &Changes) -> bool {
        changes.changed().now_or_never().is_some()
    }

    fn node(uid: &str, ready: &str, taints: Value) -> Node {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        let metadata = json!({"name": "a", "uid": uid});
        let object =
            json!({"metadata": metadata, "spec": {"taints": taints}, "status": {"conditions": conditions}});
        serde_json::from_value(object).unwrap()
    }

    fn attachment(attacher: &str, attached: bool) -> VolumeAttachment {
        let spec = json!({"attacher": attacher, "nodeName": "a", "source": {}});
        serde_json::from_value(json!({"metadata": {}, "spec": spec, "status": {"attached": attached}}))
            .unwrap()
    }

    #[test]
    fn edges_of_nodes_wake_and_heartbeats_do_not() {
        let (changes, mut nodes) = (quiet(), HashMap::new());
        let taint = json!([{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]);
        let other = json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]);
        for (seen, wakes) in [
            (node("u", "True", json!(null)), false),
            (node("u", "True", json!(null)), false),
            (node("u", "Unknown", other.clone()), true),
            (node("u", "False", other), false),
            (node("u", "False", taint), true),
            (node("v", "True", json!(null)), true),
            (serde_json::from_value(json!({})).unwrap(), false),
        ] {
            let said = format!("{seen:?}");
            changes.node(&mut nodes, Event::Apply(seen));
            assert_eq!(woken(&changes), wakes, "{said}");
        }
        changes.node(&mut nodes, Event::Delete(node("v", "True", json!(null))));
        assert!(woken(&changes) && nodes.is_empty());
    }

    #[test]
    fn an_attachment_torn_off_wakes_and_a_detached_one_that_goes_does_not() {
        let changes = quiet();
        for (event, wakes) in [
            (Event::Apply(attachment(DRIVER, true)), false),
            (Event::Delete(attachment(DRIVER, false)), false),
            (Event::Delete(attachment("other", true)), false),
            (Event::Delete(serde_json::from_value(json!({})).unwrap()), false),
            (Event::Delete(attachment(DRIVER, true)), true),
        ] {
            let said = format!("{event:?}");
            changes.attachment(DRIVER, event);
            assert_eq!(woken(&changes), wakes, "{said}");
        }
    }

    #[test]
    fn both_lists_make_it_synced_and_every_list_wakes() {
        let (changes, mut nodes) = (quiet(), HashMap::new());
        assert_eq!((changes.awaited(), woken(&changes)), (Some("Nodes"), false));
        changes.node(&mut nodes, Event::InitDone);
        assert_eq!((changes.awaited(), woken(&changes)), (Some("VolumeAttachments"), true));
        changes.attachment(DRIVER, Event::InitDone);
        assert_eq!((changes.awaited(), woken(&changes)), (None, true));
        changes.node(&mut nodes, Event::InitDone);
        assert!(woken(&changes), "what happened while nobody watched is not known");
    }
}
