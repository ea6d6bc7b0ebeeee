//! What looks after the node's connections while no call does.

use host::Host;
use tokio::sync::watch::Receiver;
use tokio::time::{Duration, sleep, timeout};

use crate::Node;

/// The kernel tells of one change by several events, and of many changes at once when a node is drained.
const BURST: Duration = Duration::from_secs(1);
/// Losses are told by no event (node.md K7): the states of our controllers are read this often (node.md rule 8).
const TICK: Duration = Duration::from_secs(1);
/// How long nothing is looked at as a whole where nothing seems to change: a kernel may not be heard at all.
const UNTOLD: Duration = Duration::from_secs(60);

impl<H: Host> Node<H> {
    /// Looks after the connections for as long as it is polled: when the kernel says that something changed, when
    /// something is due, and now and then.
    pub async fn watch(&self) {
        let mut changes = self.host.changes();
        loop {
            changes.mark_unchanged();
            let due = [self.sweep_orphans().await, self.check_health().await];
            sleep(BURST).await;
            let due = due.into_iter().flatten().min().map_or(UNTOLD, |due| due.min(UNTOLD));
            // Nothing was told in time: then it is looked all the same.
            let _ = timeout(due, self.until_changed(&mut changes)).await;
        }
    }

    async fn until_changed(&self, changes: &mut Receiver<()>) {
        while timeout(TICK, changed(changes)).await.is_err() {
            if self.is_changed().await {
                return;
            }
        }
    }
}

/// Never ends where nobody tells.
async fn changed(changes: &mut Receiver<()>) {
    if changes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
