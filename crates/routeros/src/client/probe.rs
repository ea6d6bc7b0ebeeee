//! What a device must have for this client, looked at before it is relied upon.

use std::fmt;

use super::Client;
use crate::error::{Error, ErrorKind};
use crate::system::{Package, Resource};
use crate::transport::Transport;
use crate::user::Policies;
use crate::version::RouterOsVersion;

/// The package without which `/disk` has no NVMe/TCP export (routeros.md §1.3).
const STORAGE_PACKAGE: &str = "rose-storage";

/// The policies needed: REST asks for `rest-api` and `api` both (routeros.md §4).
const POLICIES: [&str; 4] = ["read", "write", "api", "rest-api"];

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Volumes cannot be served until it is mended.
    Error,
    /// It could not be looked at, or is unusual.
    Warning,
}

/// Something about the device that does not fit, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is there, and what to do: one line.
    pub message: String,
}

/// What [`Client::probe`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// The device.
    pub resource: Resource,
    /// What does not fit; empty is good.
    pub findings: Vec<Finding>,
}

impl ProbeReport {
    /// Whether volumes can be served.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<T: Transport> Client<T> {
    /// Looks at version, `rose-storage` and the policies of `user`, by whose name this client logs in.
    ///
    /// # Errors
    /// Only where the device cannot be read at all; what does not fit is a finding.
    pub async fn probe(&self, user: &str) -> Result<ProbeReport, Error> {
        let resource = self.resource().await?;
        let packages = self.packages().await?;
        let policies = match self.own_policies(user).await {
            Ok(policies) => Ok(policies),
            Err(error) if matches!(error.kind(), ErrorKind::Permission | ErrorKind::Malformed) => Err(error),
            Err(error) => return Err(error),
        };
        let findings =
            [version_finding(resource.version), package_finding(&packages), policy_finding(user, &policies)];
        Ok(ProbeReport { resource, findings: findings.into_iter().flatten().collect() })
    }
}

fn version_finding(version: RouterOsVersion) -> Option<Finding> {
    let floor = RouterOsVersion::FLOOR;
    (version < floor).then(|| error(format!("RouterOS {version} is older than {floor}: upgrade the device")))
}

fn package_finding(packages: &[Package]) -> Option<Finding> {
    match packages.iter().find(|package| package.name == STORAGE_PACKAGE) {
        Some(package) if !package.disabled && !package.available => None,
        Some(package) if package.disabled && !package.available => Some(error(format!(
            "package {STORAGE_PACKAGE} is disabled: /system/package/enable {STORAGE_PACKAGE}, then /system/package/apply-changes"
        ))),
        _ => Some(error(format!("package {STORAGE_PACKAGE} is missing: install it and reboot the device"))),
    }
}

fn policy_finding(user: &str, policies: &Result<Policies, Error>) -> Option<Finding> {
    let policies = match policies {
        Ok(policies) => policies,
        Err(unread) => {
            return Some(warning(format!("the policies of user {user:?} cannot be read ({unread})")));
        }
    };
    let missing: Vec<&str> = POLICIES.into_iter().filter(|policy| !policies.allows(policy)).collect();
    let list = missing.join(",");
    (!missing.is_empty())
        .then(|| error(format!("user {user:?} lacks {list}: add it to the policy of its group")))
}

fn error(message: String) -> Finding {
    Finding { severity: Severity::Error, message }
}

fn warning(message: String) -> Finding {
    Finding { severity: Severity::Warning, message }
}
