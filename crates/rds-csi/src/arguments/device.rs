//! The flags of the device's management side.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use routeros::{Fingerprint, RestConfig};

use super::values::{duration, interval};

/// The device's management side.
#[derive(Debug, Args)]
#[command(next_help_heading = "Device")]
pub(crate) struct DeviceArguments {
    // A text here and read later: clap repeats what does not parse, and it may hold a password.
    /// Management address of the device, https://host[:port]
    #[arg(long, env = "RDS_CSI_ADDRESS", hide_env_values = true, value_name = "URL")]
    pub(crate) address: String,

    /// File with the RouterOS user's name; read again when it changes
    #[arg(long, env = "RDS_CSI_USER_FILE", value_name = "FILE")]
    pub(crate) user_file: PathBuf,

    /// File with its password, not readable by everybody; read again when it changes
    #[arg(long, env = "RDS_CSI_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) password_file: PathBuf,

    #[command(flatten)]
    pub(crate) trust: TrustArguments,

    /// Requests to the device under way at once
    #[arg(long, env = "RDS_CSI_MAX_IN_FLIGHT", default_value_t = RestConfig::DEFAULT_IN_FLIGHT as u16,
          value_parser = clap::value_parser!(u16).range(1..=64), value_name = "COUNT")]
    pub(crate) max_in_flight: u16,

    /// How often the device's pools are read, and with them whether it answers
    #[arg(long, env = "RDS_CSI_POLL_INTERVAL", value_parser = interval, default_value = "15s", value_name = "TIME")]
    pub(crate) poll_interval: Duration,

    /// How often the device's own figures are read for /metrics, while this controller leads; 0s for never
    #[arg(long, env = "RDS_CSI_FIGURES_INTERVAL", value_parser = duration, default_value = "15s", value_name = "TIME")]
    pub(crate) figures_interval: Duration,
}

/// How the device's certificate is checked: exactly one of the three.
#[derive(Debug, Args)]
pub(crate) struct TrustArguments {
    /// PEM file of the authority that signed the device's certificate
    #[arg(long, env = "RDS_CSI_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    /// SHA-256 fingerprint of the device's own certificate
    #[arg(long, env = "RDS_CSI_TLS_FINGERPRINT", value_name = "HEX")]
    pub(crate) tls_fingerprint: Option<Fingerprint>,

    /// Check nothing, and accept http:// too: whoever is in between can read the password
    #[arg(long, env = "RDS_CSI_TLS_INSECURE")]
    pub(crate) tls_insecure: bool,
}
