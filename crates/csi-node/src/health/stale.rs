//! Mounts whose device is not the volume's any more, or whose file system failed on it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use host::{Device, Host, MountEntry, Subsystem};

use crate::attached::Number as _;
use crate::error::Result;
use crate::mounted::{self, DeviceNumber};
use crate::records::StageRecord;
use crate::request::Form;

/// A stale mount, and who uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stale {
    /// What is mounted or bound; `None`: nothing is, where something should be.
    old: Option<DeviceNumber>,
    /// What the volume is now; `None`: it is not connected.
    new: Option<Device>,
    /// Where pods have the old one.
    users: Vec<PathBuf>,
    /// Why the file system is of no more use, where its device stays.
    failure: Option<String>,
}

/// The kernel said that a file system could not write (node.md K9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The device that it is mounted from.
    pub(crate) device: DeviceNumber,
    /// What the kernel said.
    pub(crate) error: String,
}

impl Stale {
    /// Whether it is the same finding, whoever uses it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.old, &self.new, &self.failure) == (other.old, &other.new, &other.failure)
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let old = self.old.map_or("none".into(), |(major, minor)| format!("{major}:{minor}"));
        let new = self.new.as_ref().map_or("none".into(), Device::to_string);
        write!(formatter, "Stale mount detected - old device: {old}, new device: {new}")?;
        if let Some(error) = &self.failure {
            write!(
                formatter,
                "; its file system could not write ({error}), so what was written last may be lost and more will be"
            )?;
        }
        match self.users.as_slice() {
            [] => formatter.write_str("; the next pod gets it mounted anew"),
            users => {
                let paths: Vec<String> = users.iter().map(|path| path.display().to_string()).collect();
                write!(
                    formatter,
                    "; it cannot be healed under the pods that have it open, so delete them: {}",
                    paths.join(", ")
                )
            }
        }
    }
}

/// Compares what is mounted with what the volume's NQN leads to (node.md rule 1). A failure counts while its device is what
/// is mounted.
///
/// # Errors
/// Where a mount cannot be looked at: then nothing is known.
pub(crate) async fn find_stale<H: Host>(
    host: &H,
    subsystems: &[Subsystem],
    mounts: &[MountEntry],
    record: &StageRecord,
    failure: Option<&Failure>,
) -> Result<Option<Stale>> {
    let Some(remembered) = record.device else { return Ok(None) };
    let new = present(subsystems, record.nqn.as_str());
    let is_block = record.usage.form == Form::Block;
    let staged = mounted::at(mounts, &record.staging).last().map(|entry| mounted::number(entry));
    let old = if is_block { Some(remembered) } else { staged };
    let failure =
        failure.filter(|failure| staged == Some(failure.device)).map(|failure| failure.error.clone());
    if failure.is_none() && old == new.as_ref().map(Device::number) {
        return Ok(None);
    }
    let users = match old {
        Some(old) => users(host, mounts, record, old).await?,
        None => Vec::new(),
    };
    // A node that booted has its records, and nothing mounted or connected; nothing is bound of a block volume without
    // pods.
    let is_nothing = if is_block { users.is_empty() } else { old.is_none() && new.is_none() };
    Ok((!is_nothing).then_some(Stale { old, new, users, failure }))
}

fn present(subsystems: &[Subsystem], nqn: &str) -> Option<Device> {
    let ours = subsystems.iter().filter(|subsystem| subsystem.nqn == nqn);
    ours.flat_map(|subsystem| &subsystem.namespaces).map(|namespace| namespace.device.clone()).next()
}

async fn users<H: Host>(
    host: &H,
    mounts: &[MountEntry],
    record: &StageRecord,
    old: DeviceNumber,
) -> Result<Vec<PathBuf>> {
    let old = BTreeSet::from([old]);
    let mounted = mounted::filesystems(mounts, &old).into_iter().map(|entry| entry.target.clone());
    let mut users: Vec<PathBuf> = mounted.filter(|path| *path != record.staging).collect();
    users.extend(mounted::block_publishes(host, mounts, &old).await?);
    Ok(users)
}
