//! `rds-sim`: a MikroTik ROSE Data Server on the wire, for those who test its clients.

mod args;
mod run;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match start(args::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rds-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: args::Args) -> anyhow::Result<()> {
    if args.list_assumptions {
        print!("{}", args::assumptions_table());
        return Ok(());
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    tokio::runtime::Runtime::new()?.block_on(run::run(args))
}
