#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn names_addresses_and_ports_are_read_and_shown_alike() {
    for text in ["https://rds.example", "https://10.0.0.1:8443", "https://[fd00::1]:443"] {
        let address = Address::parse(text, PlainHttp::Refused).unwrap();
        assert_eq!((address.to_string().as_str(), address.is_tls()), (text, true));
    }
    let plain = Address::parse("http://127.0.0.1:8080/", PlainHttp::Allowed).unwrap();
    assert_eq!((plain.to_string().as_str(), plain.is_tls()), ("http://127.0.0.1:8080", false));
}

#[test]
fn what_is_no_address_says_why() {
    use ErrorKind::{InvalidInput, Unsupported};
    let cases = [
        ("ssh://rds:22", Unsupported, "not yet supported"),
        ("http://rds", Unsupported, "in clear"),
        ("ftp://rds", InvalidInput, "no scheme that is known"),
        ("rds", InvalidInput, "no scheme"),
        ("https://", InvalidInput, "not a URL"),
        ("https://rds/rest", InvalidInput, "has a path"),
        ("https://rds?x", InvalidInput, "has a path"),
        ("https://rds:65536", InvalidInput, "a port is 1 to 65535"),
        ("https://rds:0", InvalidInput, "a port is 1 to 65535"),
        ("https://[fd00::1]:", InvalidInput, "a port is 1 to 65535"),
        ("https://a b", InvalidInput, "not a URL"),
        ("", InvalidInput, "not a URL"),
    ];
    for (text, kind, why) in cases {
        let error = Address::parse(text, PlainHttp::Refused).unwrap_err();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(error.to_string().contains(why), "{text}: {error}");
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let error = Address::parse("https://admin:geheim@rds", PlainHttp::Refused).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("geheim"), "{error}");
}
