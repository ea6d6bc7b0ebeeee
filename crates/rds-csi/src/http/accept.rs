//! Which of the two formats a scraper asks for (RFC 9110, Accept).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// The formats that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.0, what is served where nothing else is asked for.
    OpenMetrics,
    /// The older Prometheus text format.
    Text,
}

impl Format {
    /// The one that the request prefers; OpenMetrics where it likes both as well, or says nothing.
    pub(super) fn asked_for(headers: &HeaderMap) -> Self {
        let ranges: Vec<Range<'_>> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(Range::parse)
            .collect();
        let text = quality(&ranges, "text/plain");
        let openmetrics = quality(&ranges, "application/openmetrics-text");
        if text > openmetrics { Self::Text } else { Self::OpenMetrics }
    }

    /// The answer's content type.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A media range with its weight.
struct Range<'a> {
    media: &'a str,
    quality: f32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().filter(|media| !media.is_empty())?;
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let quality = weight.map_or(Some(1.0), |weight| weight.parse().ok())?;
        Some(Self { media, quality })
    }

    /// How closely the range names a media type: 0 not at all.
    fn closeness(&self, media: &str) -> u8 {
        let same_kind = |kind: &str| media.split('/').next() == Some(kind);
        match self.media {
            named if named.eq_ignore_ascii_case(media) => 3,
            "*/*" => 1,
            range if range.strip_suffix("/*").is_some_and(same_kind) => 2,
            _ => 0,
        }
    }
}

/// The weight of the range that names it most closely; 0 where none does.
fn quality(ranges: &[Range<'_>], media: &str) -> f32 {
    let closest =
        ranges.iter().map(|range| (range.closeness(media), range.quality)).max_by_key(|(close, _)| *close);
    closest.filter(|(close, _)| *close > 0).map_or(0.0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_format_is_the_one_that_the_scraper_prefers() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (accept, format) in [
            ("", Format::OpenMetrics),
            ("*/*", Format::OpenMetrics),
            (prometheus, Format::OpenMetrics),
            ("text/plain", Format::Text),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Format::Text),
            ("text/plain; version=0.0.4", Format::Text),
            ("Text/Plain", Format::Text),
            ("text/*", Format::Text),
            ("text/html, application/xhtml+xml, */*;q=0.8", Format::OpenMetrics),
            ("application/openmetrics-text;q=0.1,text/plain;q=0.9", Format::Text),
            ("application/openmetrics-text;q=0,text/plain;q=0.1", Format::Text),
            ("application/json", Format::OpenMetrics),
            ("text/plain;q=none, */*", Format::OpenMetrics),
            (";;,,", Format::OpenMetrics),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(Format::asked_for(&headers), format, "{accept:?}");
        }
        assert_eq!(Format::asked_for(&HeaderMap::new()), Format::OpenMetrics);
    }
}
