//! What ginkgo says while it runs (`-v`), as a line a spec.

/// What parts one spec from the next.
const DELIMITER: &str = "------------------------------";

/// Knows which spec runs, from what was said: of one at a time the name comes before its end, of several after it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    after_delimiter: bool,
    spec: Option<String>,
    /// The end of a spec that is not named yet.
    end: Option<String>,
}

impl Progress {
    /// Takes a line of the log; answers the line of a spec that has ended.
    pub(crate) fn see(&mut self, line: &str) -> Option<String> {
        let is_first = std::mem::replace(&mut self.after_delimiter, line == DELIMITER);
        if line == DELIMITER {
            self.spec = None;
            return None;
        }
        if let Some((outcome, seconds)) = ended(line) {
            self.end = Some(format!("{outcome:<4}  {seconds:>7} s"));
            return self.line();
        }
        if (is_first || self.end.is_some()) && !line.is_empty() {
            self.spec = Some(line.trim().to_owned());
        }
        self.line()
    }

    fn line(&mut self) -> Option<String> {
        self.end.as_ref().and(self.spec.as_ref())?;
        Some(format!("{}  {}", self.end.take()?, self.spec.take()?))
    }
}

/// How a spec ended, and its seconds: `• [21.345 seconds]`, `• [FAILED] [3.001 seconds]`, `S [SKIPPED] [0.003 seconds]`.
fn ended(line: &str) -> Option<(&'static str, &str)> {
    let is_skipped = line.starts_with("S [");
    let rest = line.strip_prefix("• [").or_else(|| line.strip_prefix("S ["))?;
    let seconds = line.strip_suffix(" seconds]")?.rsplit('[').next()?;
    Some(match rest.starts_with(|first: char| first.is_ascii_digit()) {
        true => ("ok", seconds),
        false if is_skipped => ("skip", seconds),
        false => ("FAIL", seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(said: &[&str]) -> Vec<String> {
        let mut progress = Progress::default();
        said.iter().filter_map(|line| progress.see(line)).collect()
    }

    #[test]
    fn of_specs_that_run_at_once_each_is_named_after_its_end() {
        let said = [
            "Running in parallel across 3 processes",
            DELIMITER,
            "S [SKIPPED] [0.003 seconds]",
            "External Storage ntfs",
            "file.go:156",
            DELIMITER,
            "SSSSSSSSSSSS",
            DELIMITER,
            "• [21.345 seconds]",
            "External Storage volumes should store data",
            "file.go:156",
            DELIMITER,
        ];
        assert_eq!(
            lines(&said),
            [
                "skip    0.003 s  External Storage ntfs",
                "ok     21.345 s  External Storage volumes should store data",
            ]
        );
    }

    #[test]
    fn each_spec_that_ends_is_one_line() {
        let said = [
            DELIMITER,
            "External Storage volumes should store data",
            "file.go:156",
            "  STEP: Creating a kubernetes client",
            "• [21.345 seconds]",
            DELIMITER,
            DELIMITER,
            "External Storage subPath should fail",
            "• [FAILED] [3.001 seconds]",
            "External Storage subPath should fail",
            DELIMITER,
            DELIMITER,
            "External Storage ntfs",
            "S [SKIPPED] [0.003 seconds]",
            "[SynchronizedAfterSuite] PASSED [0.003 seconds]",
        ];
        assert_eq!(
            lines(&said),
            [
                "ok     21.345 s  External Storage volumes should store data",
                "FAIL    3.001 s  External Storage subPath should fail",
                "skip    0.003 s  External Storage ntfs",
            ]
        );
    }
}
