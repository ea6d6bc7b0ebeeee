//! Steps of a scenario: one line each, with its time, and a count at the end.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result as Outcome};
use microvm::Kernel;

/// Runs steps and counts them.
#[derive(Debug)]
pub struct Steps {
    name: &'static str,
    passed: u64,
    failed: u64,
}

impl Steps {
    /// A scenario of that name.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, passed: 0, failed: 0 }
    }

    /// Runs a demo on the kernel that the command line names, 6.12 if none; its exit code tells whether all passed.
    ///
    /// # Errors
    /// A word that is no kernel of the guests.
    pub fn demo(run: impl FnOnce(Kernel, &mut Self) -> Option<()>) -> Outcome<ExitCode> {
        let kernel = kernel(&std::env::args().nth(1).unwrap_or_else(|| "6.12".into()))?;
        let mut steps = Self::new("demo");
        // A failed step ends it early, and is counted.
        let _ = run(kernel, &mut steps);
        Ok(if steps.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Runs one step and prints its line; `None` where it failed.
    pub fn step<T, E: Display>(&mut self, what: &str, run: impl FnOnce() -> Result<T, E>) -> Option<T> {
        let start = Instant::now();
        let result = run();
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(value) => {
                self.passed += 1;
                println!("ok    {seconds:7.2} s  {what}");
                Some(value)
            }
            Err(error) => {
                self.failed += 1;
                // With its causes, where the error knows them.
                println!("FAIL  {seconds:7.2} s  {what}: {error:#}");
                None
            }
        }
    }

    /// Prints the last line; whether nothing failed and something passed.
    #[must_use]
    pub fn finish(self) -> bool {
        println!("{}: {} passed, {} failed", self.name, self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }
}

/// The kernel of guests that is called so: 6.1 or 6.12.
///
/// # Errors
/// Another word.
pub fn kernel(word: &str) -> Outcome<Kernel> {
    let kernel = Kernel::ALL.into_iter().find(|kernel| kernel.version() == word);
    kernel.with_context(|| format!("{word:?} is no kernel of the guests: 6.1 and 6.12 are"))
}
