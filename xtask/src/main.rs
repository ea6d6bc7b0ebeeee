//! Builds, tests, shows and checks the project: `cargo xtask --help`.
//!
//! Each command sets up what it needs by itself (Debian packages, Go tools, kernels for guests)
//! and says so while it does.
#![expect(clippy::disallowed_methods, reason = "test support: it starts programs and reads its environment")]

mod binaries;
mod conformance;
mod failures;
mod go_tools;
mod image;
mod machine;
mod process;
mod suites;
mod tally;
mod test_programs;
mod tidy;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::image::Of;

#[derive(Parser)]
#[command(about = "Builds, tests, shows and checks rds-csi", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One volume's whole life on real kernels, step by step.
    Demo {
        /// The kernel of the guests: 6.1 or 6.12.
        #[arg(long, default_value = "6.12")]
        kernel: String,
        /// One claim's life in a whole Kubernetes cluster, with real kubelets.
        #[arg(long)]
        cluster: bool,
        /// Leaves the cluster running until Enter or Ctrl-C, and prints how kubectl reaches it.
        #[arg(long, requires = "cluster")]
        keep: bool,
    },
    /// Every test, or those of one suite.
    Test {
        /// The suite; all without it.
        suite: Option<suites::Suite>,
        /// Of the suite `chaos`: --seed N, --minutes M, --kernel 6.1, --print ACTIONS.
        /// Of the suite `cluster`: the stories to run, and 6.1 for that kernel. Of the suite `external`: --focus REGEX
        /// (any number), --all, --slow, --at-most TIME, --at-once N.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Writes docs/conformance.md from the reports of `cargo xtask test external`.
    Conformance,
    /// Builds the programs of Kubernetes, and prints how tests are told where they are: `eval "$(cargo xtask tools)"`.
    Tools,
    /// The image as an OCI archive in target/image, checked, with its SBOM beside it.
    Image {
        /// A binary that is built already, by this machine; without it one is built.
        #[arg(long)]
        binary: Option<PathBuf>,
        /// Have the Containerfile compile what is committed, in a stage of its own, into target/image/compiled.
        #[arg(long, conflicts_with = "binary")]
        compiled: bool,
    },
    /// Prints the licences of what is linked into the binary, as the image has them.
    Notices,
    /// The edges between crates and the rules of the house.
    Tidy,
    /// Speed as ratios in one run, printed and written to target/bench/results.json.
    Bench {
        /// Groups of figures: calls, listing, idle, kubernetes, node; all of them without one.
        groups: Vec<String>,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Demo { kernel, cluster, keep } => suites::demo(&kernel, cluster, keep),
        Command::Test { suite, arguments } => suites::test(suite, &arguments),
        Command::Conformance => conformance::run(),
        Command::Tools => suites::tools(),
        Command::Image { compiled: true, .. } => image::run(Of::Commit),
        Command::Image { binary, .. } => image::run(binary.map_or(Of::Release, Of::Binary)),
        Command::Notices => image::notices().map(|notices| print!("{notices}")),
        Command::Tidy => tidy::run(),
        Command::Bench { groups } => suites::bench(&groups),
    }
}
