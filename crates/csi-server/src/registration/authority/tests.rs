#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// What grpc-go 1.83.2 wrote to `/var/lib/kubelet/plugins_registry/rds.csi.srvlab.io-reg.sock`, dialled as the kubelet
/// dials: preface, settings, their acknowledgement, GetInfo's header fields, an empty message.
const CAPTURED: &[u8] = include_bytes!("../../../testdata/get-info-of-a-kubelet.bin");

/// The captured header fields.
fn block() -> &'static [u8] {
    let head = PREFACE + 2 * FRAME_HEAD;
    assert_eq!(CAPTURED[head + 3], HEADERS);
    let length = usize::from(CAPTURED[head + 2]);
    &CAPTURED[head + FRAME_HEAD..][..length]
}

#[test]
fn of_a_kubelets_request_the_authority_alone_is_another() {
    let (block, ours) = (block(), with_localhost(block()).unwrap());
    let before = ours.windows(LOCALHOST.len()).position(|window| window == LOCALHOST).unwrap();
    // 0x40: to be remembered; the name by its number.
    assert_eq!(block[before - 1], 0x40 | u8::try_from(AUTHORITY).unwrap());
    assert_eq!(ours[..before], block[..before]);
    let behind = &ours[before + LOCALHOST.len()..];
    assert!(block.ends_with(behind) && block.len() > ours.len());
    assert_eq!(text(&block[before..]).unwrap(), behind);
}

#[test]
fn what_has_no_authority_or_is_cut_off_stays_as_it_is() {
    for without in [&b""[..], b"\x83\x86", b"\x3f\xe1\x1f\x83", b"\x40\x01a\x01b", b"\x00\x01a\x01b\xbe"] {
        assert_eq!(with_localhost(without), None, "{without:x?}");
    }
    let block = block();
    for cut in 0..block.len() {
        assert_eq!(with_localhost(&block[..cut]).is_some(), cut >= behind_the_authority(block), "{cut}");
    }
}

fn behind_the_authority(block: &[u8]) -> usize {
    let mut rest = block;
    loop {
        let field = Field::first_of(rest).unwrap();
        rest = field.rest;
        if field.name == Some(AUTHORITY) {
            return block.len() - rest.len();
        }
    }
}

#[test]
fn numbers_are_read_as_rfc_7541_writes_them() {
    for (bytes, bits, expected) in [
        (&b"\x0a"[..], 5, Some(10)),
        (b"\xea", 5, Some(10)),
        (b"\x1f\x9a\x0a", 5, Some(1337)),
        (b"\x7f\x00", 7, Some(127)),
        (b"\x7f\xff\x7f", 7, Some(127 + 16_383)),
        (b"\x7f\xff\xff\x01", 7, None),
        (b"\x1f", 5, None),
        (b"", 7, None),
    ] {
        assert_eq!(number(bytes, bits).map(|(number, _)| number), expected, "{bytes:x?}");
    }
}
