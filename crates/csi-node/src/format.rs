//! Format only what is proven blank, and tell our own unfinished mkfs from data (node.md rule 9).
//!
//! `observe` reads, [`plan`] decides and is pure, `apply` writes. The controller's word that a volume
//! was never published is not asked: only bytes that were read decide.

pub(crate) mod apply;
pub(crate) mod marker;
pub(crate) mod observe;
pub(crate) mod probes;
pub(crate) mod signature;
pub(crate) mod superblock;

use host::{Content, Range};
use uuid::Uuid;
use volume::{FsType, MIB, Slot};

use marker::Mark;
use superblock::Superblock;

/// The UUIDv5 namespace of our file systems; any fixed value does, but it must never change: an
/// unfinished mkfs is known as ours by it.
const FILESYSTEM_NAMESPACE: Uuid = Uuid::from_u128(0x7264_732e_6373_692e_6669_6c65_7379_7374);
/// mkfs.xfs refuses less (seen, node.md rule 9).
const SMALLEST_XFS: u64 = 300 * MIB;
/// Room for ext4's own structures and for the marker's MiB behind it.
const SMALLEST_EXT4: u64 = 4 * MIB;

/// What is asked of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    /// The volume.
    pub(crate) slot: Slot,
    /// The file system that is asked for.
    pub(crate) fs: FsType,
    /// The size at creation in bytes: the marker lies at its end.
    pub(crate) created: u64,
    /// The device's size in bytes.
    pub(crate) bytes: u64,
    /// It may hold a raw user's data: blank only after every byte was read.
    pub(crate) published_as_block: bool,
}

/// What was read of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observation {
    /// The superblock at its start.
    pub(crate) superblock: Superblock,
    /// What lies in the marker's place.
    pub(crate) mark: Mark,
    /// What the probed places hold; `None` where that was not needed to decide.
    pub(crate) content: Option<Content>,
    /// What the first non-zero place looks like, to be named in a refusal.
    pub(crate) looks_like: Option<&'static str>,
}

/// What is to be done with a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Every probed place is zero: make a file system.
    Blank,
    /// A complete file system of the asked type, ours or a restored, imported or older one: mount it.
    Mount {
        /// Its size in bytes, by its superblock.
        bytes: u64,
    },
    /// Our own mkfs.xfs that did not end: zero what it left and make it again.
    UnfinishedXfs,
    /// Our own mke2fs that did not end: zero its superblock and make it again.
    UnfinishedExt4,
    /// Anything else is somebody's data.
    Refuse(Refusal),
}

/// Why a device is neither mounted nor formatted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "it holds {} at byte {offset}; it is never formatted over: mount it as what it is, or wipe it yourself if it is of no use",
        looks_like.unwrap_or("data of no known form")
    )]
    Data { offset: u64, looks_like: Option<&'static str> },
    #[error("it holds {found}, but {asked} is asked for: correct fsType; nothing is formatted over")]
    OtherType { found: FsType, asked: FsType },
    #[error(
        "an xfs of a foreign UUID {uuid} whose mkfs did not end: it is not ours to make again; wipe it yourself if it is of no use"
    )]
    ForeignUnfinished { uuid: Uuid },
    #[error(
        "a marker of an unfinished mkfs lies beside {beside}; the two contradict each other, so nothing is touched"
    )]
    ContradictoryMark { beside: String },
    #[error(
        "it looks like a mkfs.{found} of ours that did not end, but the volume was published as a raw block device, \
         whose user may have written just that: it is not made again; wipe it yourself if it is of no use"
    )]
    UnfinishedAfterBlock { found: FsType },
    #[error("{bytes} bytes are too small for {fs}, which needs {least}: use a larger volume")]
    TooSmall { bytes: u64, fs: FsType, least: u64 },
    #[error(
        "its size of {bytes} bytes is no multiple of 4096, so its end cannot be read past the cache: format it yourself"
    )]
    OddSize { bytes: u64 },
}

impl Intent {
    /// The UUID of the file system of this volume.
    pub(crate) fn uuid(&self) -> Uuid {
        Uuid::new_v5(&FILESYSTEM_NAMESPACE, self.slot.as_str().as_bytes())
    }

    /// Where the marker lies: the last 4 KiB of the size at creation, which growth does not move.
    pub(crate) fn marker_range(&self) -> Range {
        let end = self.created - self.created % marker::MARKER_BYTES;
        Range { offset: end.saturating_sub(marker::MARKER_BYTES), length: marker::MARKER_BYTES }
    }

    /// How many bytes mke2fs is given: it zeroes the last 64 KiB of them, so they end 1 MiB before
    /// the size at creation and the marker survives (seen, node.md rule 9).
    pub(crate) fn ext4_bytes(&self) -> u64 {
        self.created.saturating_sub(MIB) / 4096 * 4096
    }
}

impl Observation {
    /// Whether superblock and marker leave open if the device is blank.
    pub(crate) fn needs_content(&self) -> bool {
        matches!((&self.superblock, self.mark), (Superblock::None, Mark::None | Mark::Data))
    }
}

/// Decides what to do with a device from what was read of it. Any doubt refuses.
pub(crate) fn plan(observation: &Observation, intent: &Intent) -> Plan {
    let ours = intent.uuid();
    match (&observation.superblock, observation.mark) {
        (Superblock::Xfs { in_progress: true, uuid, .. }, Mark::None) if *uuid == ours => {
            remake(intent, FsType::Xfs, Plan::UnfinishedXfs)
        }
        (Superblock::Ext4 { uuid, ever_mounted: false, .. }, Mark::Ours) if *uuid == ours => {
            remake(intent, FsType::Ext4, Plan::UnfinishedExt4)
        }
        (Superblock::None | Superblock::Unknown { looks_like: None, .. }, Mark::Ours) => {
            remake(intent, FsType::Ext4, Plan::UnfinishedExt4)
        }
        (beside, Mark::Ours | Mark::Foreign) => {
            Plan::Refuse(Refusal::ContradictoryMark { beside: beside.to_string() })
        }
        (Superblock::Xfs { in_progress: true, uuid, .. }, _) => {
            Plan::Refuse(Refusal::ForeignUnfinished { uuid: *uuid })
        }
        (Superblock::Xfs { bytes, .. }, _) => mount(FsType::Xfs, *bytes, intent),
        (Superblock::Ext4 { bytes, .. }, _) => mount(FsType::Ext4, *bytes, intent),
        (Superblock::Unknown { offset, looks_like }, _) => {
            Plan::Refuse(Refusal::Data { offset: *offset, looks_like: *looks_like })
        }
        (Superblock::None, _) => blank_or_not(observation, intent),
    }
}

fn mount(found: FsType, bytes: u64, intent: &Intent) -> Plan {
    match found == intent.fs {
        true => Plan::Mount { bytes },
        false => Plan::Refuse(Refusal::OtherType { found, asked: intent.fs }),
    }
}

/// Our own unfinished mkfs, if it still is what is asked for. A raw user could have written its proof,
/// and neither a marker nor a superblock is the zeros that alone may be formatted then (node.md rule 9).
fn remake(intent: &Intent, found: FsType, plan: Plan) -> Plan {
    match found == intent.fs {
        _ if intent.published_as_block => Plan::Refuse(Refusal::UnfinishedAfterBlock { found }),
        true => plan,
        false => Plan::Refuse(Refusal::OtherType { found, asked: intent.fs }),
    }
}

fn blank_or_not(observation: &Observation, intent: &Intent) -> Plan {
    let least = match intent.fs {
        FsType::Ext4 => SMALLEST_EXT4,
        FsType::Xfs => SMALLEST_XFS,
    };
    let looks_like = observation.looks_like;
    match observation.content {
        Some(Content::Data(offset)) => Plan::Refuse(Refusal::Data { offset, looks_like }),
        // Not looked at is not zero; a marker's place with other bytes is data.
        None => Plan::Refuse(Refusal::Data { offset: 0, looks_like: Some("something that was not read") }),
        Some(Content::Zero) if observation.mark != Mark::None => {
            Plan::Refuse(Refusal::Data { offset: intent.marker_range().offset, looks_like })
        }
        Some(Content::Zero) if !intent.bytes.is_multiple_of(4096) => {
            Plan::Refuse(Refusal::OddSize { bytes: intent.bytes })
        }
        Some(Content::Zero) if intent.created.min(intent.bytes) < least => {
            Plan::Refuse(Refusal::TooSmall { bytes: intent.bytes, fs: intent.fs, least })
        }
        Some(Content::Zero) => Plan::Blank,
    }
}

#[cfg(test)]
mod tests;
