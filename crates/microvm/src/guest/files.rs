//! Files of a guest.

use crate::{Error, Guest, Output, Result};

impl Guest {
    /// Writes a file, with the directories above it, and sets its mode.
    ///
    /// # Errors
    /// As [`Guest::run`], and [`Error::Failed`].
    pub fn write_file(&self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Result<()> {
        let path = quoted(path);
        let line = format!("mkdir -p \"$(dirname {path})\" && cat > {path} && chmod {mode:o} {path}");
        let output = self.command(&line).stdin(content).run()?;
        self.succeeded(line, output).map(drop)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`Guest::run`], and [`Error::Failed`].
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let line = format!("cat {}", quoted(path));
        let output = self.run(&line)?;
        self.succeeded(line, output).map(|output| output.stdout)
    }

    pub(super) fn succeeded(&self, command: String, output: Output) -> Result<Output> {
        if output.success() {
            return Ok(output);
        }
        Err(Error::Failed { guest: self.name().to_owned(), command, output })
    }
}

/// One word of the shell, whatever it holds.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_quote_in_a_path_stays_within_its_word() {
        assert_eq!(quoted("/tmp/it's; ls"), r"'/tmp/it'\''s; ls'");
    }
}
