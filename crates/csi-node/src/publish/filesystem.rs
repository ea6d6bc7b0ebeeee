//! A file system is bound from where it is staged.

use std::collections::BTreeSet;
use std::path::PathBuf;

use host::{Host, MountEntry};

use super::{Publish, PublishError};
use crate::attached::Number as _;
use crate::error::Result;
use crate::mounted;

pub(super) async fn publish<H: Host>(publish: &Publish<'_, H>, mounts: &[MountEntry]) -> Result<()> {
    let Publish { node, request, staging, device, .. } = publish;
    check_staging(publish, mounts)?;
    match mounted::at(mounts, &request.target).last() {
        None => {
            publish.refuse_second_pod(&others(publish, mounts))?;
            node.host.make_dir(&request.target).await?;
            publish.bind(staging).await
        }
        Some(entry) if mounted::number(entry) == device.number() => {
            Ok(publish.refuse_other_access(&entry.options)?)
        }
        Some(entry) => {
            let what = format!("{} on {}:{}", entry.fs, entry.major, entry.minor);
            Err(PublishError::TargetTaken { path: request.target.clone(), what }.into())
        }
    }
}

/// Where other pods have it.
fn others<H>(publish: &Publish<'_, H>, mounts: &[MountEntry]) -> Vec<PathBuf> {
    let Publish { request, staging, device, .. } = publish;
    let mounted = mounted::filesystems(mounts, &BTreeSet::from([device.number()]));
    let paths = mounted.into_iter().map(|entry| entry.target.clone());
    paths.filter(|path| path != staging && *path != request.target && !mounted::is_kubelets(path)).collect()
}

/// What is mounted at the staging path must be the device that is behind the NQN now.
fn check_staging<H>(
    publish: &Publish<'_, H>,
    mounts: &[MountEntry],
) -> std::result::Result<(), PublishError> {
    let Publish { staging, device, .. } = publish;
    let path = staging.to_path_buf();
    match mounted::at(mounts, staging).last() {
        None => Err(PublishError::NothingStaged { path }),
        Some(entry) if mounted::number(entry) != device.number() => {
            Err(PublishError::Stale { path, found: mounted::number(entry), device: (*device).clone() })
        }
        Some(_) => Ok(()),
    }
}
