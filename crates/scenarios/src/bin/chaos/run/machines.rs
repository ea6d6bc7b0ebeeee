//! What happens to machines and processes.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use scenarios::{DRIVER_PID, System, http};
use serde_json::json;

use super::Run;
use crate::action::{BootOrder, Kill, Machine, NodeName, Process, Refusal, Trouble};

/// How long the device does not answer while it boots, and how long it then takes until its exports are there: at least
/// one try of a node, which are 5 s apart.
const BOOT_MILLIS: [u64; 2] = [2000, 9000];

impl Run<'_> {
    pub(super) fn break_down(&mut self, machine: Machine, trouble: Trouble) -> Result<()> {
        let guest = match machine {
            Machine::Device => &self.system.rds.guest,
            Machine::Node(name) => &self.system.node(name).guest,
        };
        match (trouble, machine) {
            (Trouble::Cut, _) => guest.link().cut(),
            (Trouble::Paused, _) => guest.pause()?,
            (Trouble::Off, Machine::Device) => self.system.rds.cut_power()?,
            (Trouble::Off, Machine::Node(_)) => guest.kill(),
        }
        Ok(())
    }

    pub(super) fn heal(&mut self, machine: Machine) -> Result<()> {
        match machine {
            Machine::Device => self.heal_device(),
            Machine::Node(node) => self.heal_node(node),
        }
    }

    fn heal_device(&self) -> Result<()> {
        let rds = &self.system.rds;
        match self.model.device() {
            Some(Trouble::Cut) => rds.guest.link().restore(),
            Some(Trouble::Paused) => rds.guest.resume()?,
            Some(Trouble::Off) => rds.boot_again()?,
            None => {}
        }
        Ok(())
    }

    /// Once it is back, its kubelet lets go of what was forced off it. Pods of a node that booted have ended, like others.
    fn heal_node(&mut self, name: NodeName) -> Result<()> {
        let (node, trouble) = (self.system.node(name), self.model.trouble(name));
        match trouble {
            Some(Trouble::Cut) => node.guest.link().restore(),
            Some(Trouble::Paused) => node.guest.resume()?,
            Some(Trouble::Off) => node.reboot()?,
            None => {}
        }
        let (left, others) = std::mem::take(&mut self.left).into_iter().partition(|left| left.node == name);
        self.left = others;
        for left in left {
            self.let_go(left, trouble)?;
        }
        Ok(())
    }

    pub(super) fn reboot(&self, order: BootOrder) -> Result<()> {
        let order = match order {
            BootOrder::ExportsFirst => "exports-first",
            BootOrder::ListensFirst => "listens-first",
        };
        let [down, exports] = BOOT_MILLIS;
        self.control("/assumptions", &json!({ "boot": order }))?;
        self.control("/reboot", &json!({ "down-millis": down, "exports-millis": exports }))
    }

    pub(super) fn refuse(&self, refusal: Refusal, method: &str, times: u32) -> Result<()> {
        let action = match refusal {
            Refusal::DropReply => json!("drop-reply"),
            Refusal::Fail => json!({ "fail": { "status": 503 } }),
            Refusal::Late { millis } => json!({ "latency": { "millis": millis, "when": "after" } }),
        };
        let matching = json!({ "method": method });
        self.control("/faults", &json!({ "action": action, "times": times, "match": matching }))
    }

    fn control(&self, path: &str, body: &serde_json::Value) -> Result<()> {
        http::request(self.system.rds.control(), "POST", path, &body.to_string()).map(drop)
    }

    /// Does something during which a process is killed.
    pub(super) fn with_kill(
        &mut self,
        killed: Option<Kill>,
        act: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let Some(Kill { process, after_millis }) = killed else { return act(self) };
        let system = self.system;
        thread::scope(|scope| {
            let killer = scope.spawn(move || {
                rest(Duration::from_millis(after_millis));
                kill(system, process)
            });
            let acted = act(self);
            let killed = killer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            acted.and(killed)
        })
    }
}

/// SIGKILLs a process and starts another, as its container's kubelet does.
pub(super) fn kill(system: &System, process: Process) -> Result<()> {
    match process {
        Process::Controller => system.controller.crash_and_restart(),
        Process::Driver(name) => {
            let node = system.node(name);
            // Its helpers see its end.
            node.guest.sh(&format!("kill -9 $({DRIVER_PID})"))?;
            node.start_driver()
        }
    }
    .with_context(|| format!("kill {process}"))
}

/// Lets time pass.
#[expect(
    clippy::disallowed_methods,
    reason = "that time passes is all that is wanted: there is no condition"
)]
pub(super) fn rest(time: Duration) {
    thread::sleep(time);
}
