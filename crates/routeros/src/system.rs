//! `/system`: what the device is and how it is.

use std::time::Duration;

use crate::error::Error;
use crate::row::Row;
use crate::span::parse_span;
use crate::version::RouterOsVersion;

/// `/system/resource`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The version that runs.
    pub version: RouterOsVersion,
    /// The model, such as `RDS2216-2XG-4S+4XS-2XQ`.
    pub board_name: Option<Box<str>>,
    /// The processor architecture, such as `arm64`.
    pub architecture_name: Option<Box<str>>,
    /// Time since boot as the device writes it, such as `1w2d3h4m5s`.
    pub uptime: Option<Box<str>>,
}

impl Resource {
    /// Time since boot; `None` where it is absent or in another form.
    #[must_use]
    pub fn up_for(&self) -> Option<Duration> {
        self.uptime.as_deref().and_then(parse_span)
    }
}

impl TryFrom<&Row> for Resource {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            version: row.required("version")?.parse()?,
            board_name: row.text("board-name"),
            architecture_name: row.text("architecture-name"),
            uptime: row.text("uptime"),
        })
    }
}

/// A row of `/system/package`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Such as `routeros` or `rose-storage`.
    pub name: String,
    /// Its version.
    pub version: Option<Box<str>>,
    /// Present but switched off.
    pub disabled: bool,
    /// Could be enabled, but is not on the device (RouterOS 7.18 lists those too).
    pub available: bool,
}

impl TryFrom<&Row> for Package {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            name: row.required("name")?.to_owned(),
            version: row.text("version"),
            disabled: row.flag("disabled")?.unwrap_or_default(),
            available: row.flag("available")?.unwrap_or_default(),
        })
    }
}

/// A row of `/system/health`: names and units differ between models, so the value stays a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthRow {
    /// Such as `cpu-temperature`.
    pub name: String,
    /// Such as `48`.
    pub value: String,
    /// The unit, such as `C`, `RPM` or `W`.
    pub unit: Option<Box<str>>,
}

impl TryFrom<&Row> for HealthRow {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self, Error> {
        let text = |name: &str| row.required(name).map(str::to_owned);
        Ok(Self { name: text("name")?, value: text("value")?, unit: row.text("type") })
    }
}

/// `/system/clock`, as the device writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// `2026-10-02`
    pub date: String,
    /// `13:37:00`
    pub time: String,
    /// `+02:00`
    pub gmt_offset: Option<Box<str>>,
}

impl TryFrom<&Row> for Clock {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self, Error> {
        let text = |name: &str| row.required(name).map(str::to_owned);
        Ok(Self { date: text("date")?, time: text("time")?, gmt_offset: row.text("gmt-offset") })
    }
}
