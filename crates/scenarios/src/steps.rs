//! Steps of a scenario: one line each, with its time, and a count at the end.

use std::fmt::Display;
use std::time::Instant;

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
                println!("FAIL  {seconds:7.2} s  {what}: {error}");
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
