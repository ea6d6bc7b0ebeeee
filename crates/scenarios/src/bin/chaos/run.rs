//! Carries actions out on a system, as the kubelets, the sidecars, an operator and bad luck do.

mod inspection;
mod machines;
mod volumes;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use scenarios::{Made, System};

use crate::action::{Action, NodeName, VolumeNumber};
use crate::ledger::{Ledger, Totals};
use crate::model::Model;
use crate::pod::{Pod, Writer};
use machines::{kill, rest};

/// Writes go on after an outage within seconds, by themselves or in a pod made anew; slow machines get many times that.
const WRITES: Duration = Duration::from_secs(400);
/// So many records of each pod that can write follow each action.
const RECORDS: u64 = 3;

/// A run.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    system: &'a System,
    /// What is true once the last action is done.
    model: Model,
    volumes: BTreeMap<VolumeNumber, Volume>,
    left: Vec<Left>,
    ledger: Ledger,
    /// Pods whose process ended by an error and that were made anew.
    replaced: u64,
}

/// A volume of the run.
#[derive(Debug)]
struct Volume {
    made: Made,
    pod: Option<Pod>,
}

/// A pod on a node that was given up, which does not know that yet.
#[derive(Debug)]
struct Left {
    volume: VolumeNumber,
    made: Made,
    node: NodeName,
    writer: Writer,
}

impl<'a> Run<'a> {
    pub(crate) fn new(system: &'a System) -> Self {
        let (model, ledger) = (Model::default(), Ledger::default());
        Self { system, model, volumes: BTreeMap::new(), left: Vec::new(), ledger, replaced: 0 }
    }

    /// Carries an action out, waits until every pod that can write does, and looks for what must never be.
    pub(crate) fn carry_out(&mut self, action: &Action) -> Result<()> {
        self.act(action)?;
        self.model.apply(action);
        self.all_write()?;
        self.inspect()
    }

    fn act(&mut self, action: &Action) -> Result<()> {
        match *action {
            Action::Create { volume, usage } => self.create(volume, usage),
            Action::Start { volume, node } => self.start(volume, node),
            Action::Stop { volume } => self.stop(volume),
            Action::Move { volume, to, kill } => self.with_kill(kill, |run| run.move_to(volume, to)),
            Action::Take { volume, to } => self.take(volume, to),
            Action::Ask { volume, node } => self.ask(volume, node),
            Action::Delete { volume, node } => self.delete(volume, node),
            Action::Break { machine, trouble } => self.break_down(machine, trouble),
            Action::Heal { machine } => self.heal(machine),
            Action::Kill { process } => kill(self.system, process),
            Action::Reboot { order } => self.reboot(order),
            Action::Refuse { refusal, method, times } => self.refuse(refusal, method, times),
            Action::Delay { millis } => self.system.rds.delay_writes(Duration::from_millis(millis)),
            Action::Rest { seconds } => {
                rest(Duration::from_secs(seconds));
                Ok(())
            }
        }
    }

    /// Every pod whose node is served writes some more records. One whose process has ended is made anew, as a
    /// controller of pods would do it.
    fn all_write(&mut self) -> Result<()> {
        let served = self.volumes.iter().filter_map(|(volume, held)| {
            let pod = held.pod.as_ref().filter(|pod| self.model.is_served(pod.node))?;
            Some((*volume, pod.writer.acknowledged()))
        });
        for (volume, before) in served.collect::<Vec<_>>() {
            self.writes_beyond(volume, before + RECORDS)?;
        }
        Ok(())
    }

    fn writes_beyond(&mut self, volume: VolumeNumber, number: u64) -> Result<()> {
        let mut anew = 0;
        loop {
            let Some(pod) = self.volumes.get(&volume).and_then(|held| held.pod.as_ref()) else {
                return Ok(());
            };
            let writer = &pod.writer;
            let goes_on =
                testbed::wait_until(&format!("{} writes record {number}", writer.name), WRITES, || {
                    Ok((writer.acknowledged() >= number || writer.has_ended()).then_some(()))
                });
            if let Err(error) = goes_on {
                anyhow::bail!(
                    "{error}; it has {}, and said {:?}",
                    writer.acknowledged(),
                    writer.last_words()
                );
            }
            if writer.acknowledged() >= number {
                return Ok(());
            }
            anyhow::ensure!(anew < 3, "{} ended again: {:?}", writer.name, writer.last_words());
            println!("      {} on {} ended: {}", writer.name, pod.node, writer.last_words());
            self.replace(volume)?;
            anew += 1;
        }
    }

    /// Records that were acknowledged and found, of volumes that are gone.
    pub(crate) fn totals(&self) -> Totals {
        self.ledger.totals()
    }

    /// How many pods were made anew.
    pub(crate) fn replaced(&self) -> u64 {
        self.replaced
    }
}
