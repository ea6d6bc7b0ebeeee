//! What is said of a device that does not fit.

use routeros::ProbeReport;

use crate::device::{Device, Step, ok, refusal};

const GOOD_PACKAGE: &str = r#"[{".id":"*1","name":"rose-storage","version":"7.24.4","disabled":"false"}]"#;
const GOOD_POLICY: &str = "local,!telnet,read,write,test,api,rest-api";

fn resource(version: &str) -> Step {
    ok(format!(r#"{{"version":"{version}","board-name":"RDS2216","uptime":"1w2d"}}"#))
}

async fn probe(version: &str, packages: &str, policy: &str) -> ProbeReport {
    let device = Device::new([
        resource(version),
        ok(packages),
        ok(r#"[{".id":"*1","name":"admin","group":"csi"}]"#),
        ok(format!(r#"[{{".id":"*1","name":"csi","policy":"{policy}"}}]"#)),
    ]);
    device.client().probe("admin").await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_device_that_fits_has_no_findings() {
    let report = probe("7.24.4 (stable)", GOOD_PACKAGE, GOOD_POLICY).await;
    assert_eq!((report.is_fit(), report.findings.as_slice()), (true, &[][..]));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_said_with_what_to_do() {
    let disabled = GOOD_PACKAGE.replace(r#""disabled":"false""#, r#""disabled":"true""#);
    let cases = [
        (
            "7.20.8 (long-term)",
            GOOD_PACKAGE,
            GOOD_POLICY,
            "RouterOS 7.20.8 is older than 7.21: upgrade the device",
        ),
        ("7.21rc2", GOOD_PACKAGE, GOOD_POLICY, "RouterOS 7.21rc2 is older than 7.21: upgrade the device"),
        ("7.24", "[]", GOOD_POLICY, "package rose-storage is missing: install it and reboot the device"),
        (
            "7.24",
            &disabled,
            GOOD_POLICY,
            "package rose-storage is disabled: /system/package/enable rose-storage, then /system/package/apply-changes",
        ),
        (
            "7.24",
            GOOD_PACKAGE,
            "read,rest-api,!write",
            "user \"admin\" lacks write,api: add it to the policy of its group",
        ),
    ];
    for (version, packages, policy, message) in cases {
        let report = probe(version, packages, policy).await;
        let messages: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
        assert_eq!((report.is_fit(), messages.as_slice()), (false, &[message.to_owned()][..]));
    }
}

#[tokio::test(start_paused = true)]
async fn policies_that_may_not_be_read_are_a_warning() {
    let device =
        Device::new([resource("7.24"), ok(GOOD_PACKAGE), refusal(500, "not enough permissions (9)")]);
    let report = device.client().probe("admin").await.unwrap();
    assert!(report.is_fit() && report.findings.len() == 1, "{report:?}");
}
