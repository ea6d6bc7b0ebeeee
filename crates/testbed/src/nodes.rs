//! Nodes and pods that no kubelet serves: what a kubelet would say of them is said by tests.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::{ControlPlane, Error, Result, objects, wait_until};

/// Controllers act within a second; a busy machine gets many times that.
const SOON: Duration = Duration::from_secs(60);
/// Kubelets say what is new of their Nodes every 10 s.
const BEAT: Duration = Duration::from_secs(10);

impl ControlPlane {
    /// Makes a Node that is Ready, with its CSINode for one driver, and waits until pods can be scheduled on it.
    /// Answers the Node.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run).
    pub fn add_node(&self, name: &str, driver: &str, node_id: &str) -> Result<Value> {
        let node = self.admin().create(&objects::node(name, "127.0.0.1"))?;
        self.admin().create(&objects::csi_node(&node, driver, node_id))?;
        // Admission taints every new node; a controller takes that back when it has seen it Ready.
        wait_until(&format!("node {name} without taints"), SOON, || {
            let node = self.admin().get(&["node", name])?;
            Ok(node.filter(|node| node["spec"]["taints"].is_null()))
        })
    }

    /// Deletes a Node at once, as a person or a cloud does; its CSINode goes with it, later.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run).
    pub fn delete_node(&self, name: &str) -> Result<()> {
        self.kubectl(&["delete", "node", name]).map(drop)
    }

    /// Sets a Node's condition `Ready`: `True`, `False`, or `Unknown` as when its kubelet is silent.
    ///
    /// The controllers then taint it, with NoExecute too while another Node is Ready: where none is, they take it for
    /// their own failure and evict nobody.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run).
    pub fn set_ready(&self, node: &str, status: &str) -> Result<()> {
        let patch = json!({ "status": { "conditions": [objects::ready_condition(status)] } });
        self.admin().patch(&["node", node, "--subresource=status"], &patch)
    }

    /// Taints a Node as one whose machine is known to be off.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run).
    pub fn taint_out_of_service(&self, node: &str) -> Result<()> {
        let taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute";
        self.kubectl(&["taint", "node", node, taint]).map(drop)
    }

    /// Keeps `volumesInUse` of a Node's status true, as its kubelet would: what is listed there is not detached.
    /// `unique` is how kubelet and the attach/detach controller call the volume.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run); where the Node is gone.
    pub fn set_in_use(&self, node: &str, unique: &str, is_used: bool) -> Result<()> {
        let object = self.admin().get(&["node", node])?.unwrap_or_default();
        let listed = object["status"]["volumesInUse"].as_array().into_iter().flatten();
        let mut used: Vec<&str> = listed.filter_map(Value::as_str).filter(|name| *name != unique).collect();
        used.extend(is_used.then_some(unique));
        let patch = json!({ "status": { "volumesInUse": used } });
        self.admin().patch(&["node", node, "--subresource=status"], &patch)
    }

    /// Sets the phase of a Pod in `default`, as its kubelet would: `Running`, `Succeeded`, …
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run).
    pub fn set_pod_phase(&self, pod: &str, phase: &str) -> Result<()> {
        let patch = json!({ "status": { "phase": phase } });
        self.admin().patch(&["pod", "-n", "default", pod, "--subresource=status"], &patch)
    }

    /// Deletes a Pod in `default` and confirms its end, as its kubelet would.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run).
    pub fn delete_pod(&self, pod: &str) -> Result<()> {
        self.kubectl(&["delete", "pod", "-n", "default", pod, "--grace-period=0", "--force"]).map(drop)
    }

    /// Waits until a claim in `default` is bound; answers the name of its PersistentVolume.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run); where it stays unbound, with its events.
    pub fn wait_until_bound(&self, claim: &str, within: Duration) -> Result<String> {
        let what = format!("pvc/{claim}");
        let bound =
            self.admin().wait(&["-n", "default", &what, "--for=jsonpath={.status.phase}=Bound"], within);
        if let Err(error) = bound {
            let events = self.kubectl(&["get", "events", "-n", "default"])?;
            return Err(Error::Late { what: format!("{what} bound: {error}"), within, last: events });
        }
        self.kubectl(&["get", "-n", "default", &what, "-o", "jsonpath={.spec.volumeName}"])
    }

    /// Waits until the VolumeAttachment of a PersistentVolume to a node says that it is attached; answers it.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run); where it does not, with the last that was seen of it.
    pub fn wait_until_attached(
        &self,
        persistent_volume: &str,
        node: &str,
        within: Duration,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let attached = wait_until(&format!("{persistent_volume} attached to {node}"), within, || {
            last = self.attachment(persistent_volume, node)?.unwrap_or_default();
            Ok((last["status"]["attached"] == true).then(|| last.clone()))
        });
        attached.map_err(|error| with_last(error, &last))
    }

    /// Waits until there is no VolumeAttachment of a PersistentVolume to a node.
    ///
    /// # Errors
    /// As [`ControlPlane::wait_until_attached`].
    pub fn wait_until_detached(&self, persistent_volume: &str, node: &str, within: Duration) -> Result<()> {
        let (mut last, mut beaten) = (Value::Null, Instant::now());
        let detached = wait_until(&format!("{persistent_volume} detached from {node}"), within, || {
            last = self.attachment(persistent_volume, node)?.unwrap_or_default();
            if beaten.elapsed() > BEAT {
                self.beat(node);
                beaten = Instant::now();
            }
            Ok(last.is_null().then_some(()))
        });
        detached.map_err(|error| with_last(error, &last))
    }

    /// Changes a Node's status, as every kubelet does now and then, though nothing is new: only then does the attach/detach
    /// controller look again at what is in use of a volume of which it learnt after the last change.
    fn beat(&self, node: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let beat = json!({ "type": "Beat", "status": "True", "message": now.to_string() });
        let patch = json!({ "status": { "conditions": [beat] } });
        // A Node that is gone has no kubelet.
        let _ = self.admin().patch(&["node", node, "--subresource=status"], &patch);
    }

    /// The VolumeAttachment of a PersistentVolume to a node, if there is one.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run).
    pub fn attachment(&self, persistent_volume: &str, node: &str) -> Result<Option<Value>> {
        let all = self.admin().get(&["volumeattachments"])?.unwrap_or_default();
        let of = |object: &&Value| {
            let spec = &object["spec"];
            spec["nodeName"] == node && spec["source"]["persistentVolumeName"] == persistent_volume
        };
        Ok(all["items"].as_array().into_iter().flatten().find(of).cloned())
    }
}

/// Why a VolumeAttachment was refused, as it says itself. Where a call met another one of its volume, which may be the
/// reconciler's own at any time, it was not: the attacher asks again.
#[must_use]
pub fn refusal(attachment: &Value) -> Option<String> {
    let said = attachment["status"]["attachError"]["message"].as_str()?;
    (!said.contains("code = Aborted")).then(|| said.to_owned())
}

fn with_last(error: Error, object: &Value) -> Error {
    match error {
        Error::Late { what, within, .. } => Error::Late { what, within, last: object.to_string() },
        other => other,
    }
}
