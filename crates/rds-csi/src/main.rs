//! The driver: wiring, configuration, telemetry and main.

fn main() {}
