//! The device's time of day, printed as RouterOS prints it.

use std::fmt;

/// Seconds since 1970 by the device's clock; UTC, as a device without a time zone has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

const DAY: i64 = 86_400;

impl Timestamp {
    /// Year, month and day.
    fn date(self) -> (i64, i64, i64) {
        // Years are counted from March, so that a leap day ends one; 719 468 days lie before 1970.
        let days = self.0.div_euclid(DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    /// `2026-09-25`
    pub fn day(self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `12:13:27`
    pub fn time(self) -> String {
        let second = self.0.rem_euclid(DAY);
        format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.day(), self.time())
    }
}

/// `1w2d3h4m5s`, the way RouterOS prints a span.
pub fn span(seconds: u64) -> String {
    let units = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let mut text = String::new();
    for (unit, length) in units {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// `48s149ms`, the way RouterOS prints a shorter span (S, manual's sample of `monitor-traffic`).
pub fn span_of_millis(millis: u64) -> String {
    match (millis / 1000, millis % 1000) {
        (0, rest) => format!("{rest}ms"),
        (seconds, 0) => span(seconds),
        (seconds, rest) => format!("{}{rest}ms", span(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_790_338_407, "2026-09-25 12:13:27"),
            (-1, "1969-12-31 23:59:59"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(Timestamp(seconds).to_string(), expected);
        }
    }

    #[test]
    fn spans_leave_out_what_is_zero() {
        assert_eq!([span(0), span(61), span(694_861)], ["0s", "1m1s", "1w1d1h1m1s"]);
        let millis = [0, 149, 2_000, 48_149, 3_600_001].map(span_of_millis);
        assert_eq!(millis, ["0ms", "149ms", "2s", "48s149ms", "1h1ms"]);
    }
}
