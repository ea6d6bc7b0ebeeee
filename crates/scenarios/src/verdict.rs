//! How a program ends that boots guests: with what tells whether it was theirs, on standard output, where its caller reads.

use std::process::ExitCode;

use anyhow::Result;
use microvm::Guest;

/// The status of a program that is green or not; what kept it from finding out is printed, with its causes.
pub fn ended(green: Result<bool>) -> ExitCode {
    match green {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

/// What is green, or what the guests' consoles said last beside it.
///
/// # Errors
/// As they come.
pub fn with_consoles<'a>(green: Result<bool>, guests: impl IntoIterator<Item = &'a Guest>) -> Result<bool> {
    if !matches!(green, Ok(true)) {
        for guest in guests {
            println!("--- console of guest {} ---\n{}", guest.name(), guest.console_tail());
        }
    }
    green
}
