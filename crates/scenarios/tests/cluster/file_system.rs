//! The file system of a claim that nobody has attached, looked at where its bytes are.

use anyhow::{Context, Result, ensure};
use scenarios::{Steps, WholeCluster};

use crate::deployment;

/// Ends the claim's Deployment; what it leaves is a clean ext4.
pub(crate) fn end_and_check(cluster: &WholeCluster, name: &str, steps: &mut Steps) -> Option<()> {
    steps.step("the Deployment is deleted: nothing is attached any more", || {
        deployment::delete(cluster, name)
    })?;
    steps.step("its file system is clean", || is_clean(cluster, name))
}

/// What e2fsck says, and no more, of a journal that is to be replayed.
const NOT_REPLAYED: &str = "skipping journal recovery";

/// Checks the image as the device has it, without changing it: nothing is to be replayed, and nothing is amiss.
pub(crate) fn is_clean(cluster: &WholeCluster, claim: &str) -> Result<()> {
    let (handle, images) = (cluster.handle_of(claim)?, cluster.rds.images()?);
    let image = images.iter().find(|image| image.contains(&handle)).context("no image")?;
    let check = cluster.rds.guest.run(&format!("e2fsck -fn {image} 2>&1"))?;
    ensure!(check.success() && !check.to_string().contains(NOT_REPLAYED), "{check}");
    Ok(())
}
