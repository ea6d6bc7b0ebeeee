//! The flags of the logs.

use clap::{Args, ValueEnum};

use super::log_filter::LogFilter;

/// How to log.
#[derive(Debug, Args)]
pub(crate) struct TelemetryArguments {
    /// Form of a log line on stderr
    #[arg(long, env = "RDS_CSI_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// Least level that is logged: error, warn, info, debug, trace, or off; also per module, `info,routeros=debug`
    #[arg(long, env = "RDS_CSI_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub(crate) log_level: LogFilter,
}

/// Forms of a log line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}
