//! What a node's driver takes of the processor while its volumes just stand there.

use std::time::Duration;

use anyhow::Result;

use super::crowd::{self, NODE};
use crate::driver_process::idle_percentage;
use crate::report::Report;

/// More volumes than the pods that a kubelet runs by default (110) usually have.
const VOLUMES: usize = 100;
/// Two looks at everything, one a minute, and so many small ones, one a second.
const OVER: Duration = Duration::from_secs(120);

/// Measures a node guest, with the driver's default flags.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let system = crowd::boot()?;
    let node = system.node(NODE);
    let volumes = crowd::attach(&system, VOLUMES)?;
    report.tell("node: CPU, no volume, emulated guest", idle_percentage(node, OVER)?, "% of one");
    let took = crowd::stage_in_a_row(node, &volumes).time()?;
    println!("staged {VOLUMES} volumes in {:.1} s", took.as_secs_f64());
    let name = format!("node: CPU, {VOLUMES} volumes staged, emulated guest");
    report.tell(&name, idle_percentage(node, OVER)?, "% of one");
    Ok(())
}
