#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn version(text: &str) -> RouterOsVersion {
    text.parse().unwrap()
}

#[test]
fn versions_are_in_the_order_of_their_release() {
    let in_order = [
        "6.49.10",
        "7.9",
        "7.20.8 (long-term)",
        "7.21alpha9",
        "7.21beta2",
        "7.21beta10",
        "7.21rc1",
        "7.21",
        "7.21.1",
        "7.24.4 (stable)",
        "7.25_ab123",
        "7.25",
    ];
    for pair in in_order.windows(2) {
        assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
    }
    assert!(
        version("7.21 (stable)") >= RouterOsVersion::FLOOR && version("7.21rc5") < RouterOsVersion::FLOOR
    );
}

#[test]
fn what_is_no_version_is_malformed() {
    for text in ["", "7", "7.", ".21", "7.21x", "7.21.", "7.21beta", "seven", "7.99999999999", "7.21rc-1"] {
        assert_eq!(text.parse::<RouterOsVersion>().unwrap_err().kind(), ErrorKind::Malformed, "{text:?}");
    }
}

proptest! {
    #[test]
    fn a_version_is_read_as_it_was_written(major in 0_u16.., minor in 0_u16.., patch in 0_u16.., stage in 0_u8..4, n in 0_u16..) {
        let stage = [Stage::Development, Stage::Beta(n), Stage::ReleaseCandidate(n), Stage::Release][usize::from(stage)];
        let version = RouterOsVersion { major, minor, patch, stage };
        prop_assert_eq!(version.to_string().parse::<RouterOsVersion>().unwrap(), version);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[0-9a-z._ ()]{0,20}|.{0,20}") {
        let _ = text.parse::<RouterOsVersion>();
    }
}
