//! The flags of the logs.

use clap::{Args, ValueEnum};

/// How to log.
#[derive(Debug, Args)]
pub(crate) struct TelemetryArguments {
    /// Form of a log line on stderr
    #[arg(long, env = "RDS_CSI_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// Least level that is logged: error, warn, info, debug, trace; also per module, `info,routeros=debug`
    #[arg(long, env = "RDS_CSI_LOG_LEVEL", default_value = "info")]
    pub(crate) log_level: String,
}

/// Forms of a log line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}
