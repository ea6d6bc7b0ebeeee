//! What a driver that ended has left undone, taken up at the start of the next one.

use host::{Host, MountEntry, Volume};
use tokio::time::{Duration, Instant};
use volume::Slot;

use crate::Node;
use crate::attached::{self, Number as _};
use crate::error::Result;
use crate::mounted;

/// Opening a device takes no time unless its path is down; the start of the plugin does not wait for that.
const HOLD_TIME: Duration = Duration::from_secs(5);

impl<H: Host> Node<H> {
    /// Holds anew every device of ours that is published as a block: holders end with the driver's
    /// container, and a number that nobody holds could be given to another device (node.md rule 10). To be
    /// called once, before the first RPC is served. What cannot be held is logged, and held by the next publish.
    pub async fn recover(&self) {
        if let Err(error) = self.hold_published().await {
            tracing::warn!(%error, "published devices could not be looked for");
        }
    }

    async fn hold_published(&self) -> Result<()> {
        let (subsystems, mounts) = (self.host.subsystems().await?, self.host.mounts().await?);
        let is_publish =
            |entry: &&MountEntry| mounted::is_device_bind(entry) && !mounted::is_kubelets(&entry.target);
        for entry in mounts.iter().filter(is_publish) {
            let Some(number) = mounted::bound_device(&self.host, &entry.target).await? else { continue };
            let Some(owner) = attached::owner(&subsystems, number) else { continue };
            let Some((slot, _)) = self.config.nqn_prefix.slot_of(&owner.nqn) else { continue };
            let mut devices = owner.namespaces.iter().map(|namespace| &namespace.device);
            if let Some(device) = devices.find(|device| device.number() == number) {
                self.hold_anew(&slot, device, &entry.target).await;
            }
        }
        Ok(())
    }

    async fn hold_anew(&self, slot: &Slot, device: &host::Device, target: &std::path::Path) {
        let volume = Volume { slot, deadline: Instant::now() + HOLD_TIME };
        if let Err(error) = self.host.hold(volume, device, target).await {
            tracing::warn!(volume_id = %slot, target = %target.display(), %error, "a published device is not held");
        }
    }
}
