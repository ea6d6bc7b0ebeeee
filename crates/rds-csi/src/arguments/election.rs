//! The flags of the controller's election.

use std::time::Duration;

use clap::Args;

use super::values::duration;

/// How one of several controllers is made the leader, where there is Kubernetes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Leadership")]
pub(crate) struct ElectionArguments {
    /// Namespace of the Lease [default: that of this pod]
    #[arg(long, env = "RDS_CSI_LEASE_NAMESPACE", value_name = "NAME")]
    pub(crate) lease_namespace: Option<String>,

    /// Name of the Lease, the same for all controllers of one driver [default: the driver's name]
    #[arg(long, env = "RDS_CSI_LEASE_NAME", value_name = "NAME")]
    pub(crate) lease_name: Option<String>,

    /// How long a leader that does not renew goes on leading: requests to the device that take longer are cut short,
    /// and another controller takes over after it; 5s to 60s
    #[arg(long, env = "RDS_CSI_LEASE_DURATION", value_parser = lease_duration, default_value = "15s", value_name = "TIME")]
    pub(crate) lease_duration: Duration,
}

/// Shorter ones are lost by an API server that is busy for a moment; longer ones only delay a take-over.
fn lease_duration(text: &str) -> Result<Duration, String> {
    let served = Duration::from_secs(5)..=Duration::from_secs(60);
    let asked = duration(text)?;
    if served.contains(&asked) { Ok(asked) } else { Err("expected 5s to 60s".into()) }
}
