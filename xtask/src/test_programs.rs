//! The test programs of the whole workspace, built once for every suite.
//!
//! One selection of packages and features for all: cargo compiles the dependencies anew for each other one, which took
//! more time than the tests.

use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Artifact, Message};

use crate::process::cargo;

/// What was built.
#[derive(Debug)]
pub(crate) struct TestPrograms {
    programs: Vec<TestProgram>,
}

/// The tests of one target, with libtest's arguments.
#[derive(Debug)]
pub(crate) struct TestProgram {
    /// The package's folder, in which cargo runs its tests.
    folder: PathBuf,
    target: String,
    is_test: bool,
    executable: PathBuf,
}

impl TestPrograms {
    /// Builds the tests of every package with every feature, and the binaries that they start.
    pub(crate) fn build() -> Result<Self> {
        println!("building the tests (some minutes the first time)");
        let start = Instant::now();
        let arguments = ["test", "--workspace", "--all-features", "--no-run", "--quiet"];
        let command = &mut cargo();
        command.args(arguments).arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let output = BufReader::new(child.stdout.take().context("a piped stream")?);
        let mut programs = Vec::new();
        for message in Message::parse_stream(output) {
            if let Message::CompilerArtifact(artifact) = message.context("read what cargo built")? {
                programs.extend(TestProgram::of(artifact));
            }
        }
        if !child.wait()?.success() {
            bail!("the tests do not build");
        }
        println!("-- {} test programs and binaries built in {} s", programs.len(), start.elapsed().as_secs());
        Ok(Self { programs })
    }

    /// The tests of the target `name` of the package in `crates/<package>`.
    pub(crate) fn test(&self, package: &str, name: &str) -> Result<&TestProgram> {
        let found = self.tests().find(|test| test.target == name && test.folder.ends_with(package));
        found.with_context(|| format!("{package} has no tests called {name}"))
    }

    /// Every target's tests.
    pub(crate) fn tests(&self) -> impl Iterator<Item = &TestProgram> {
        self.programs.iter().filter(|program| program.is_test)
    }

    /// A binary that tests start, or that is a test of its own.
    pub(crate) fn binary(&self, name: &str) -> Result<&TestProgram> {
        let found = self.programs.iter().find(|program| !program.is_test && program.target == name);
        found.with_context(|| format!("there is no binary called {name}"))
    }
}

impl TestProgram {
    fn of(artifact: Artifact) -> Option<Self> {
        Some(Self {
            folder: artifact.manifest_path.parent()?.into(),
            target: artifact.target.name,
            is_test: artifact.profile.test,
            executable: artifact.executable?.into(),
        })
    }

    /// The target's name: the crate's, the binary's, or that of the file below `tests`.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The command that runs it as `cargo test` would.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }
}
