#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn a_fingerprint_is_read_with_and_without_colons_in_either_case() {
    let plain = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let pairs: Vec<String> =
        plain.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_uppercase()).collect();
    for text in [plain.to_owned(), plain.to_uppercase(), pairs.join(":")] {
        assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), plain);
    }
}

#[test]
fn what_is_no_fingerprint_is_refused() {
    for text in ["", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64), &"+0".repeat(32)] {
        assert_eq!(text.parse::<Fingerprint>().unwrap_err().kind(), ErrorKind::InvalidInput, "{text}");
    }
}
