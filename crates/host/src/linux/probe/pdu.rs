//! The four PDUs of a probe, as bytes (NVMe/TCP transport specification 1.0, section 3.6; Fabrics Connect:
//! NVMe base specification 2.0, section 6.3).

use volume::HostIdentity;

/// Type, flags, header length, data offset, PDU length.
pub(super) const COMMON_HEADER: usize = 8;

const IC_REQ: u8 = 0x00;
const IC_RESP: u8 = 0x01;
const C2H_TERM_REQ: u8 = 0x03;
const CAPSULE_CMD: u8 = 0x04;
const CAPSULE_RESP: u8 = 0x05;

/// ICReq and ICResp.
const IC_LENGTH: usize = 128;
/// The header of a command capsule: common header and a 64-byte command.
const COMMAND_LENGTH: usize = COMMON_HEADER + 64;
/// A response capsule: common header and a 16-byte completion.
const RESPONSE_LENGTH: usize = COMMON_HEADER + 16;
/// The data of a Connect command.
const CONNECT_DATA: usize = 1024;
/// Where its two names are, and their longest length without the terminating NUL.
const SUBSYSTEM_NQN: usize = 256;
const HOST_NQN: usize = 512;
const MAX_NQN: usize = 223;
/// Data alignment that a controller may ask for, in dwords less one.
const MAX_ALIGNMENT: u8 = 31;

/// Status code type 1 (command specific): Connect Invalid Parameters and Connect Invalid Host.
const INVALID_PARAMETERS: u16 = 0x182;
const INVALID_HOST: u16 = 0x184;
/// Status code type and status code within the completion's status, above the phase bit.
const STATUS: u16 = 0x7ff;

/// The common header, as far as a reader needs it.
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) length: usize,
}

/// What a target said of a Connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    NqnUnknown,
    HostRefused,
    /// Anything else, as the rest of "it answers, but …".
    Other(String),
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let length = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
        Some(Self { kind: bytes[0], length: usize::try_from(length).ok()? })
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |two| u16::from(two[0]) | u16::from(two[1]) << 8)
}

fn common(kind: u8, header: u8, data: u8, length: u32) -> [u8; COMMON_HEADER] {
    let [a, b, c, d] = length.to_le_bytes();
    [kind, 0, header, data, a, b, c, d]
}

/// Initialize Connection Request: format 0, no alignment, no digests, one R2T.
pub(super) fn ic_req() -> Vec<u8> {
    let mut bytes = vec![0; IC_LENGTH];
    put(&mut bytes, 0, &common(IC_REQ, 128, 0, 128));
    bytes
}

/// The alignment in bytes of command data that the target asks for.
pub(super) fn parse_ic_resp(bytes: &[u8]) -> Result<u8, String> {
    let header = Header::parse(bytes).filter(|header| header.length == bytes.len());
    match header.map(|header| header.kind) {
        Some(IC_RESP) if bytes.len() == IC_LENGTH && bytes[10] <= MAX_ALIGNMENT => Ok((bytes[10] + 1) * 4),
        Some(C2H_TERM_REQ) => Err(terminated(bytes)),
        _ => Err("does not speak NVMe/TCP".into()),
    }
}

fn terminated(bytes: &[u8]) -> String {
    format!("it ends the connection with fatal error {:#x}", u16_at(bytes, 8))
}

/// A Connect to the admin queue, with its data in the capsule. `None` where a name is too long.
pub(super) fn connect(nqn: &str, host: &HostIdentity, alignment: u8) -> Option<Vec<u8>> {
    if nqn.len() > MAX_NQN || host.nqn.len() > MAX_NQN {
        return None;
    }
    let data_at = COMMAND_LENGTH.next_multiple_of(usize::from(alignment.max(1)));
    let length = data_at + CONNECT_DATA;
    let mut bytes = vec![0; length];
    put(&mut bytes, 0, &common(CAPSULE_CMD, 72, u8::try_from(data_at).ok()?, u32::try_from(length).ok()?));
    // Opcode: fabrics. Flags: SGL for the data. Command id 0. Fabrics type: Connect.
    put(&mut bytes, 8, &[0x7f, 0x40, 0, 0, 0x01]);
    // SGL: a data block in the capsule at offset 0.
    put(&mut bytes, 8 + 32, &1024_u32.to_le_bytes());
    bytes[8 + 39] = 0x01;
    // Record format 0, queue 0 (admin), 32 entries (0-based), no keep-alive: gone in a moment.
    put(&mut bytes, 8 + 44, &31_u16.to_le_bytes());
    let data = &mut bytes[data_at..];
    put(data, 0, host.id.as_bytes());
    // Any controller: the dynamic model.
    put(data, 16, &[0xff, 0xff]);
    put(data, SUBSYSTEM_NQN, nqn.as_bytes());
    put(data, HOST_NQN, host.nqn.as_bytes());
    Some(bytes)
}

/// Reads the completion of a Connect.
pub(super) fn parse_connect_response(bytes: &[u8]) -> Verdict {
    let header = Header::parse(bytes).filter(|header| header.length == bytes.len());
    match header.map(|header| header.kind) {
        Some(CAPSULE_RESP) if bytes.len() == RESPONSE_LENGTH => completion(&bytes[COMMON_HEADER..]),
        Some(C2H_TERM_REQ) => Verdict::Other(terminated(bytes)),
        _ => Verdict::Other("does not speak NVMe/TCP".into()),
    }
}

fn completion(entry: &[u8]) -> Verdict {
    let status = (u16_at(entry, 14) >> 1) & STATUS;
    // Invalid parameters: the offset of the one meant, and whether it is in the data.
    let (parameter, in_data) = (usize::from(u16_at(entry, 0)), u16_at(entry, 2) & 1 == 1);
    match status {
        // Above the controller id: authentication is asked for (AUTHREQ), which is not spoken here.
        0 if u16_at(entry, 2) != 0 => Verdict::Other("it demands in-band authentication".into()),
        0 => Verdict::Accepted,
        INVALID_HOST => Verdict::HostRefused,
        INVALID_PARAMETERS if in_data && parameter == SUBSYSTEM_NQN => Verdict::NqnUnknown,
        INVALID_PARAMETERS if in_data && parameter == HOST_NQN => Verdict::HostRefused,
        other => Verdict::Other(format!("it refuses the connection with status {other:#05x}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn response(result: u32, status: u16) -> Vec<u8> {
        let mut bytes = vec![0; RESPONSE_LENGTH];
        put(&mut bytes, 0, &common(CAPSULE_RESP, 24, 0, 24));
        put(&mut bytes, 8, &result.to_le_bytes());
        put(&mut bytes, 22, &(status << 1).to_le_bytes());
        bytes
    }

    #[test]
    fn every_status_has_its_meaning() {
        let do_not_retry = 0x4000;
        for (result, status, verdict) in [
            (1, 0, Verdict::Accepted),
            (0x1_0100, INVALID_PARAMETERS | do_not_retry, Verdict::NqnUnknown),
            (0x1_0200, INVALID_PARAMETERS | do_not_retry, Verdict::HostRefused),
            (0x1_0200, INVALID_HOST | do_not_retry, Verdict::HostRefused),
        ] {
            assert_eq!(parse_connect_response(&response(result, status)), verdict);
        }
        for (result, status) in [(0x0100, INVALID_PARAMETERS), (0, 0x180), (0x0004_0001, 0), (0, 6)] {
            assert!(matches!(parse_connect_response(&response(result, status)), Verdict::Other(_)));
        }
    }

    #[test]
    fn a_connect_is_laid_out_as_the_specification_has_it() {
        let host = HostIdentity::from_id(uuid::Uuid::from_u128(0x0102_0304));
        let bytes = connect("nqn.test:vol", &host, 4).unwrap();
        assert_eq!(bytes.len(), 72 + 1024);
        assert_eq!(bytes[..8], [4, 0, 72, 72, 0x48, 4, 0, 0]);
        assert_eq!((bytes[8], bytes[12], bytes[8 + 39]), (0x7f, 1, 1));
        assert_eq!(&bytes[72..88], host.id.as_bytes());
        assert_eq!(&bytes[72 + 256..72 + 256 + 13], b"nqn.test:vol\0");
        assert!(bytes[72 + 512..].starts_with(host.nqn.as_bytes()));
        let aligned = connect("nqn.test:vol", &host, 128).unwrap();
        assert_eq!((aligned[3], aligned.len()), (128, 128 + 1024));
        assert_eq!(connect(&"n".repeat(224), &host, 4), None);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes: Vec<u8>) {
            let _ = Header::parse(&bytes);
            let _ = parse_ic_resp(&bytes);
            let _ = parse_connect_response(&bytes);
        }

        #[test]
        fn whole_pdus_of_any_content_never_panic(kind in 0_u8..8, mut bytes in prop::collection::vec(any::<u8>(), 8..200)) {
            let length = u32::try_from(bytes.len()).unwrap();
            put(&mut bytes, 0, &common(kind, 24, 0, length));
            let _ = parse_ic_resp(&bytes);
            let _ = parse_connect_response(&bytes);
        }

        #[test]
        fn no_name_makes_a_connect_panic(nqn in ".{0,300}", host in ".{0,300}", alignment in 0_u8..=128) {
            let host = HostIdentity { nqn: host, id: uuid::Uuid::nil() };
            let _ = connect(&nqn, &host, alignment);
        }
    }
}
