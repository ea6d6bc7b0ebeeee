//! StorageClass parameters (requirements R31).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use thiserror::Error;

use crate::{BasePath, DataAddress, Tunables};

/// The file systems that the node makes and mounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FsType {
    /// The default.
    #[default]
    Ext4,
    /// At least 300 MiB (mkfs.xfs refuses less).
    Xfs,
}

/// A StorageClass's parameters, checked. What is `None` comes from the controller's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `nvmeAddress` and `nvmePort`: the data address.
    pub nvme_address: Option<String>,
    /// `nvmePort`.
    pub nvme_port: Option<u16>,
    /// `volumePath`: the base path of images.
    pub volume_path: Option<BasePath>,
    /// `ctrlLossTmo`, `reconnectDelay`, `keepAliveTmo`, `nrIoQueues`, `fastIoFailTmo`: seconds and queues.
    pub tunables: Tunables,
    /// `migrationTimeoutSeconds`: 30 to 3600, by default 300 (R18).
    pub migration_timeout: Option<u32>,
    /// `csi.storage.k8s.io/…` of the provisioner's `--extra-create-metadata`, kept as they came (R13).
    pub metadata: BTreeMap<String, String>,
}

/// A parameter that is unknown or malformed: INVALID_ARGUMENT.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("StorageClass parameter {name:?}: {problem}")]
pub struct ParameterError {
    /// The parameter's key.
    pub name: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

const METADATA_PREFIX: &str = "csi.storage.k8s.io/";
const KNOWN: &str = "nvmeAddress, nvmePort, volumePath, ctrlLossTmo, reconnectDelay, keepAliveTmo, nrIoQueues, \
                     fastIoFailTmo, migrationTimeoutSeconds";

impl Parameters {
    /// Reads a StorageClass's parameters.
    ///
    /// # Errors
    /// The first that is unknown or malformed, by name.
    pub fn parse<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ParameterError> {
        let mut parameters = Self::default();
        for (name, value) in entries {
            parameters
                .set(name, value)
                .map_err(|problem| ParameterError { name: name.chars().take(80).collect(), problem })?;
        }
        parameters.tunables.check()?;
        Ok(parameters)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if self.tunables.set(name, value)? {
            return Ok(());
        }
        match name {
            "nvmeAddress" => {
                let address = DataAddress::new(value, 1).ok_or("expected a host name or an IP address")?;
                self.nvme_address = Some(address.host);
            }
            "nvmePort" => self.nvme_port = Some(number(value, 1..=65535)?),
            "volumePath" => {
                self.volume_path = Some(BasePath::parse(value).map_err(|error| error.to_string())?)
            }
            "migrationTimeoutSeconds" => self.migration_timeout = Some(number(value, 30..=3600)?),
            _ if name.starts_with(METADATA_PREFIX) => {
                self.metadata.insert(name.to_owned(), value.to_owned());
            }
            _ => return Err(format!("unknown; known are {KNOWN}")),
        }
        Ok(())
    }
}

impl Tunables {
    /// Sets the tunable of that key; false where the key is none of a tunable's.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            // An hour more than a day serves nobody: a volume that long away is gone.
            "ctrlLossTmo" => self.ctrl_loss_tmo = number(value, -1..=86_400)?,
            "reconnectDelay" => self.reconnect_delay = number(value, 1..=300)?,
            "keepAliveTmo" => self.keep_alive_tmo = number(value, 1..=300)?,
            "nrIoQueues" => self.nr_io_queues = Some(number(value, 1..=128)?),
            "fastIoFailTmo" => self.fast_io_fail_tmo = Some(number(value, 1..=86_400)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether they go together. Not asked of a volume's context: what was made before this was asked is served on.
    fn check(&self) -> Result<(), ParameterError> {
        let (fails, lost) = (self.fast_io_fail_tmo.map(i64::from), i64::from(self.ctrl_loss_tmo));
        // The kernel only warns. -1 is for ever.
        if lost < 0 || fails.is_none_or(|fails| fails <= lost) {
            return Ok(());
        }
        let problem = format!(
            "more than ctrlLossTmo, {lost} s, after which the path is given up and I/O fails anyway: \
             give less, or leave it out"
        );
        Err(ParameterError { name: "fastIoFailTmo".into(), problem })
    }

    /// The keys and values that differ from the default.
    pub(crate) fn entries(&self) -> Vec<(&'static str, String)> {
        let default = Self::default();
        let mut entries = Vec::new();
        let mut push = |name, value: String, differs: bool| differs.then(|| entries.push((name, value)));
        push("ctrlLossTmo", self.ctrl_loss_tmo.to_string(), self.ctrl_loss_tmo != default.ctrl_loss_tmo);
        push(
            "reconnectDelay",
            self.reconnect_delay.to_string(),
            self.reconnect_delay != default.reconnect_delay,
        );
        push("keepAliveTmo", self.keep_alive_tmo.to_string(), self.keep_alive_tmo != default.keep_alive_tmo);
        push("nrIoQueues", self.nr_io_queues.unwrap_or_default().to_string(), self.nr_io_queues.is_some());
        push(
            "fastIoFailTmo",
            self.fast_io_fail_tmo.unwrap_or_default().to_string(),
            self.fast_io_fail_tmo.is_some(),
        );
        entries
    }
}

fn number<N: std::str::FromStr + PartialOrd + fmt::Display>(
    text: &str,
    range: RangeInclusive<N>,
) -> Result<N, String> {
    text.parse::<N>()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("{text:?} is not a number from {} to {}", range.start(), range.end()))
}

impl FsType {
    /// Reads `ext4`, `xfs`, or empty for the default.
    ///
    /// # Errors
    /// Any other name, with those that are served.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "ext4" => Ok(Self::Ext4),
            "xfs" => Ok(Self::Xfs),
            other => Err(format!("file system {other:?} is not served; ext4 and xfs are")),
        }
    }

    /// The name for mount(2).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

impl fmt::Display for FsType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_go_drivers_parameters_are_accepted() {
        let parameters = Parameters::parse([
            ("nvmeAddress", "10.0.0.1"),
            ("nvmePort", "4421"),
            ("volumePath", "/storage-pool/metal-csi"),
            ("ctrlLossTmo", "-1"),
            ("reconnectDelay", "5"),
            ("keepAliveTmo", "30"),
            ("migrationTimeoutSeconds", "600"),
            ("csi.storage.k8s.io/pvc/name", "data"),
        ])
        .unwrap();
        assert_eq!((parameters.nvme_port, parameters.migration_timeout), (Some(4421), Some(600)));
        assert_eq!((parameters.tunables.ctrl_loss_tmo, parameters.tunables.keep_alive_tmo), (-1, 30));
        assert_eq!(parameters.metadata["csi.storage.k8s.io/pvc/name"], "data");
    }

    #[test]
    fn unknown_and_malformed_parameters_are_named() {
        for (name, value) in [
            ("nvmePorts", "1"),
            ("nvmePort", "0"),
            ("nvmePort", "70000"),
            ("nvmeAddress", "a,b"),
            ("volumePath", "../x"),
            ("ctrlLossTmo", "-2"),
            ("keepAliveTmo", "1s"),
            ("migrationTimeoutSeconds", "29"),
        ] {
            let error = Parameters::parse([(name, value)]).unwrap_err();
            assert_eq!(error.name, name);
        }
    }

    #[test]
    fn io_that_is_to_fail_before_the_path_is_given_up_has_a_time_that_is_before() {
        let parse = |fails, lost| Parameters::parse([("fastIoFailTmo", fails), ("ctrlLossTmo", lost)]);
        for (fails, lost) in [("1801", "1800"), ("60", "0"), ("61", "60")] {
            let error = parse(fails, lost).unwrap_err().to_string();
            assert!(error.contains("\"fastIoFailTmo\"") && error.contains("ctrlLossTmo"), "{error}");
        }
        assert!(parse("86400", "-1").is_ok() && parse("60", "60").is_ok());
        assert!(Parameters::parse([("fastIoFailTmo", "1801")]).is_err(), "the default is 1800");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(name in ".{0,40}", value in ".{0,40}") {
            let _ = Parameters::parse([(name.as_str(), value.as_str())]);
        }
    }
}
