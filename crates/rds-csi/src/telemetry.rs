//! Logs: text or JSON on stderr.

use std::io;

use anyhow::{Context, anyhow};
use tracing_subscriber::EnvFilter;

use crate::arguments::telemetry::{LogFormat, TelemetryArguments};

/// Starts logging. From here on a panic is a log line too, so that JSON logs stay JSON.
pub(crate) fn start(arguments: TelemetryArguments) -> anyhow::Result<()> {
    let TelemetryArguments { log_format, log_level } = arguments;
    let filter = EnvFilter::try_new(log_level.as_str()).context("--log-level")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let installed = match log_format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        // The span of the call (method, volume id) is one object beside the event's own fields.
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
    };
    installed.map_err(|error| anyhow!("cannot start logging: {error}"))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, panic = panic.payload_as_str(), "panicked: this is a bug, please report it");
    }));
    Ok(())
}
