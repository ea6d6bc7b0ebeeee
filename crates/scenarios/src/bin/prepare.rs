//! Fills the cache with what a whole cluster needs from elsewhere, before it boots where there is no way out.

use anyhow::Result;
use scenarios::WholeCluster;

fn main() -> Result<()> {
    WholeCluster::prepare()
}
