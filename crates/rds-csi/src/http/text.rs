//! OpenMetrics as the older Prometheus text format 0.0.4, which some scrapers and every linter of this age read.
//!
//! The formats differ in what this process shows by two things: a counter's family has the name of its samples,
//! `_total` included, and there is neither `# UNIT` nor `# EOF`.

use std::fmt::{self, Write};

/// Takes an OpenMetrics exposition, which ends with a line break, and writes it on in the text format. It has counters,
/// gauges and histograms and no exemplars: what this process registers.
pub(super) struct FromOpenMetrics<W> {
    to: W,
    /// The line that is not whole yet.
    line: String,
    /// What follows `# HELP`: the type stands in the next line, and the name depends on it.
    help: Option<String>,
}

impl<W: Write> FromOpenMetrics<W> {
    pub(super) fn to(to: W) -> Self {
        Self { to, line: String::new(), help: None }
    }

    fn end_line(&mut self) -> fmt::Result {
        let line = std::mem::take(&mut self.line);
        let written = self.whole_line(&line);
        // The next one is as long.
        self.line = line;
        self.line.clear();
        written
    }

    fn whole_line(&mut self, line: &str) -> fmt::Result {
        if let Some(help) = self.help.take() {
            return family(&mut self.to, &help, line);
        }
        match line.strip_prefix("# HELP ") {
            Some(help) => self.help = Some(help.to_owned()),
            None if line.starts_with("# UNIT ") || line == "# EOF" => {}
            None => writeln!(self.to, "{line}")?,
        }
        Ok(())
    }
}

impl<W: Write> Write for FromOpenMetrics<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            match part.strip_suffix('\n') {
                Some(end) => {
                    self.line.push_str(end);
                    self.end_line()?;
                }
                None => self.line.push_str(part),
            }
        }
        Ok(())
    }
}

/// The two lines that begin a family, from what follows `# HELP` and the `# TYPE` line after it.
fn family(text: &mut impl Write, help: &str, kind: &str) -> fmt::Result {
    let (name, help) = help.split_once(' ').unwrap_or((help, ""));
    let kind = kind.rsplit(' ').next().unwrap_or_default();
    let total = if kind == "counter" { "_total" } else { "" };
    writeln!(text, "# HELP {name}{total} {help}\n# TYPE {name}{total} {kind}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::{Registry, Unit};

    #[test]
    fn families_and_samples_stay_and_only_their_dress_changes() {
        let mut registry = Registry::default();
        registry.register("calls", "Calls # TYPE of", Counter::<u64>::default());
        registry.register("now", "How many", Gauge::<i64>::default());
        registry.register_with_unit("took", "Time", Unit::Seconds, Histogram::new([0.5]));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut FromOpenMetrics::to(&mut text), &registry).unwrap();
        let expected = "\
            # HELP calls_total Calls # TYPE of.\n\
            # TYPE calls_total counter\n\
            calls_total 0\n\
            # HELP now How many.\n\
            # TYPE now gauge\n\
            now 0\n\
            # HELP took_seconds Time.\n\
            # TYPE took_seconds histogram\n\
            took_seconds_sum 0.0\n\
            took_seconds_count 0\n\
            took_seconds_bucket{le=\"0.5\"} 0\n\
            took_seconds_bucket{le=\"+Inf\"} 0\n";
        assert_eq!(text, expected);
    }
}
