//! The form of a record in its file: JSON with a format version.

use std::path::PathBuf;

use csi_server::MountFlags;
use serde::{Deserialize, Serialize};
use volume::{Claim, FsType, Nqn, Slot, Tunables};

use super::{Phase, StageRecord};
use crate::request::{Form, Use};

/// The format that is written. Older ones are read; a newer one is refused, since what it adds may
/// be what keeps the data safe.
pub(super) const VERSION: u64 = 1;

/// Why a text is no record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Of a newer format.
    Newer(u64),
    /// Not a record.
    Damaged(String),
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version1 {
    version: u64,
    volume: String,
    nqn: String,
    staging_path: PathBuf,
    /// `ext4`, `xfs` or `block`.
    form: String,
    mount_flags: Vec<String>,
    read_only: bool,
    single_pod: bool,
    phase: String,
    device: Option<(u32, u32)>,
    // What follows only makes events better, and was added later: a record without it is read, and an older driver
    // leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<WrittenClaim>,
    #[serde(default = "usual_reconnect_delay")]
    reconnect_delay: u32,
}

#[derive(Serialize, Deserialize)]
struct WrittenClaim {
    namespace: String,
    name: String,
    uid: String,
}

fn usual_reconnect_delay() -> u32 {
    Tunables::default().reconnect_delay
}

/// The names of the phases, in both directions.
const PHASES: [(Phase, &str); 3] =
    [(Phase::Staging, "staging"), (Phase::Staged, "staged"), (Phase::Unstaging, "unstaging")];

/// A record as its file's bytes.
pub(super) fn write(record: &StageRecord) -> Result<Vec<u8>, serde_json::Error> {
    let (form, mount_flags) = match &record.usage.form {
        Form::Block => ("block", Vec::new()),
        Form::Filesystem { fs, flags } => (fs.name(), flags.words().to_vec()),
    };
    let phase = PHASES.iter().find(|(phase, _)| *phase == record.phase).map_or("staging", |(_, name)| name);
    serde_json::to_vec_pretty(&Version1 {
        version: VERSION,
        volume: record.slot.to_string(),
        nqn: record.nqn.to_string(),
        staging_path: record.staging.clone(),
        form: form.to_owned(),
        mount_flags,
        read_only: record.usage.read_only,
        single_pod: record.usage.single_pod,
        phase: phase.to_owned(),
        device: record.device,
        claim: record.claim.clone().map(|Claim { namespace, name, uid }| WrittenClaim {
            namespace,
            name,
            uid,
        }),
        reconnect_delay: record.reconnect_delay,
    })
}

/// Reads a record's bytes.
pub(super) fn read(bytes: &[u8]) -> Result<StageRecord, Unreadable> {
    let damaged = |error: serde_json::Error| Unreadable::Damaged(error.to_string());
    let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
    match version {
        VERSION => serde_json::from_slice::<Version1>(bytes).map_err(damaged)?.into_record(),
        newer if newer > VERSION => Err(Unreadable::Newer(newer)),
        unknown => Err(Unreadable::Damaged(format!("format {unknown} never was"))),
    }
}

impl Version1 {
    fn into_record(self) -> Result<StageRecord, Unreadable> {
        let damaged =
            |what: &str, value: &str| Unreadable::Damaged(format!("{what} {value:?} is no valid value"));
        let phase = PHASES.iter().find(|(_, name)| *name == self.phase).map(|(phase, _)| *phase);
        let form = match self.form.as_str() {
            "block" => Form::Block,
            // An empty name would be read as the default.
            "" => return Err(damaged("form", "")),
            name => Form::Filesystem {
                fs: FsType::parse(name).map_err(|_| damaged("form", name))?,
                flags: MountFlags::parse(&self.mount_flags)
                    .map_err(|error| Unreadable::Damaged(error.to_string()))?,
            },
        };
        Ok(StageRecord {
            slot: Slot::parse(&self.volume).map_err(|_| damaged("volume", &self.volume))?,
            nqn: Nqn::parse(&self.nqn).map_err(|_| damaged("nqn", &self.nqn))?,
            staging: self.staging_path,
            usage: Use { form, read_only: self.read_only, single_pod: self.single_pod },
            phase: phase.ok_or_else(|| damaged("phase", &self.phase))?,
            device: self.device,
            claim: self.claim.map(|WrittenClaim { namespace, name, uid }| Claim { namespace, name, uid }),
            reconnect_delay: self.reconnect_delay,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_round_trips(
            slot in "[a-z0-9]{1,40}", path in "/[a-zA-Z0-9/~. \"é-]{1,80}", flags in prop::collection::vec("[a-z]{6}=[a-z]{1,3}", 0..4),
            form in 0..3, phase in 0_usize..3, read_only: bool, single_pod: bool, device: Option<(u32, u32)>,
            claim: Option<(String, String, String)>, reconnect_delay: u32,
        ) {
            let flags = MountFlags::parse(&flags).unwrap();
            let form = match form {
                0 => Form::Block,
                1 => Form::Filesystem { fs: FsType::Ext4, flags },
                _ => Form::Filesystem { fs: FsType::Xfs, flags },
            };
            let record = StageRecord {
                nqn: Nqn::parse(&format!("nqn.2000-02.com.mikrotik:{slot}")).unwrap(),
                slot: Slot::parse(&slot).unwrap(),
                staging: path.into(),
                usage: Use { form, read_only, single_pod },
                phase: PHASES[phase].0,
                device,
                claim: claim.map(|(namespace, name, uid)| Claim { namespace, name, uid }),
                reconnect_delay,
            };
            prop_assert_eq!(read(&write(&record).unwrap()), Ok(record));
        }

        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
            let _ = read(&bytes);
            let _ = read(format!(r#"{{"version":1,"volume":{text:?},"phase":{text:?}}}"#).as_bytes());
        }
    }

    /// As the first driver that wrote records wrote them.
    const FIRST: &str = r#"{"version": 1, "volume": "a", "nqn": "nqn.2000-02.com.mikrotik:a.0000000000000001",
        "stagingPath": "/staging", "form": "ext4", "mountFlags": ["noatime"], "readOnly": false, "singlePod": true,
        "phase": "staged", "device": [259, 3]}"#;

    #[test]
    fn a_record_of_the_first_driver_is_read_and_so_is_one_with_more_than_is_known() {
        let first = read(FIRST.as_bytes()).unwrap();
        assert_eq!((first.device, first.claim.clone(), first.reconnect_delay), (Some((259, 3)), None, 5));
        let more = FIRST.replace("\"phase\"", "\"later\": {\"x\": 1}, \"phase\"");
        assert_eq!(read(more.as_bytes()), Ok(first));
    }

    #[test]
    fn a_newer_format_is_refused_and_told_from_damage() {
        assert_eq!(read(br#"{"version":2,"anything":[]}"#).unwrap_err(), Unreadable::Newer(2));
        for damaged in [&b""[..], b"{}", br#"{"version":0}"#, br#"{"version":1}"#, br#"{"version":-1}"#] {
            assert!(matches!(read(damaged), Err(Unreadable::Damaged(_))), "{damaged:?}");
        }
    }
}
