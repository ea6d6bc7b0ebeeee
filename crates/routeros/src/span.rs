//! Lengths of time as the device writes them: `1w2d3h4m5s`, `48s149ms`.

use std::time::Duration;

/// The units, in the order in which they are written, with their milliseconds.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a span; `None` for anything else, a bare number too, whose unit nobody knows.
pub(crate) fn parse_span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut millis: u64 = 0;
    let mut larger = UNITS.as_slice();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let unit_end =
            rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let unit = &rest[digits..unit_end];
        let at = larger.iter().position(|(name, _)| *name == unit)?;
        let part = rest[..digits].parse::<u64>().ok()?.checked_mul(larger[at].1)?;
        millis = millis.checked_add(part)?;
        larger = &larger[at + 1..];
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_to_the_millisecond_and_nothing_else_is() {
        for (text, millis) in [
            ("0ms", 0),
            ("0s", 0),
            ("149ms", 149),
            ("48s149ms", 48_149),
            ("1m1s", 61_000),
            ("1w1d1h1m1s", 694_861_000),
            ("90m", 5_400_000),
        ] {
            assert_eq!(parse_span(text), Some(Duration::from_millis(millis)), "{text:?}");
        }
        for text in
            ["", "5", "s", "-1s", "1s1m", "1s1s", "1.5s", "1x", "00:00:05", "1 s", "99999999999999999999s"]
        {
            assert_eq!(parse_span(text), None, "{text:?}");
        }
    }
}
