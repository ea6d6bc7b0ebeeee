//! OpenMetrics as the older Prometheus text format 0.0.4, which some scrapers and every linter of this age read.
//!
//! The formats differ in what this process shows by two things: a counter's family has the name of its samples,
//! `_total` included, and there is neither `# UNIT` nor `# EOF`.

/// Writes an OpenMetrics exposition in the text format. It has counters, gauges and histograms and no exemplars: what
/// this process registers.
pub(super) fn from_openmetrics(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut lines = openmetrics.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            // The type stands in the next line, and the name depends on it.
            let kind = lines.next_if(|next| next.starts_with("# TYPE ")).unwrap_or_default();
            family(&mut text, help, kind);
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The two lines that begin a family, from what follows `# HELP` and the whole `# TYPE` line.
fn family(text: &mut String, help: &str, kind: &str) {
    let (name, help) = help.split_once(' ').unwrap_or((help, ""));
    let kind = kind.rsplit(' ').next().unwrap_or_default();
    let total = if kind == "counter" { "_total" } else { "" };
    text.push_str(&format!("# HELP {name}{total} {help}\n# TYPE {name}{total} {kind}\n"));
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
        let mut openmetrics = String::new();
        prometheus_client::encoding::text::encode(&mut openmetrics, &registry).unwrap();
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
        assert_eq!(from_openmetrics(&openmetrics), expected);
    }
}
