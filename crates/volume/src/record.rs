//! The record: what the disk's `comment` on the device says of a volume's owner and holders.
//!
//! ```text
//! rds1 <cluster> <generation|-> <published> <flags> t<term> [m<start>-<deadline>] [e<generation>] [h<ref>,…] [x<ref>,…] <crc32>
//! rds1 0a1b2c3d 00000000000000ab f - t7 hnode-a/1f2e3d4c 89abcdef
//! ```
//!
//! The flags are `-`, or of `s` (shared) and `u` (unproven) those that are set, in this order.

use std::fmt;

use thiserror::Error;

use crate::{ClusterHash, Generation, NodeId, NodeRef};

/// The longest record in bytes. One assumption has RouterOS keep 255 characters of a comment;
/// 200 leaves it room and an operator a few words.
pub const MAX_RECORD_BYTES: usize = 200;

/// What every record begins with, whatever its version.
const MARK: &str = "rds";
/// The version that is written, and the only one that is read.
const VERSION: &str = "rds1";

/// How a volume was ever published (node.md rule 9 formats by it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// As a file system at least once.
    pub filesystem: bool,
    /// As a raw block device at least once.
    pub block: bool,
}

impl Published {
    /// Whether it was only ever a block device: what two nodes may share.
    #[must_use]
    pub fn is_block_only(self) -> bool {
        self.block && !self.filesystem
    }
}

/// A live migration under way: seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// When the second node joined.
    pub started: u64,
    /// When it has taken too long; 0 once that was said.
    pub deadline: u64,
}

/// Whose a volume is and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The cluster that owns the volume.
    pub cluster: ClusterHash,
    /// The generation under which it is exported; `None` when detached, and in mode `off`.
    pub generation: Option<Generation>,
    /// How it was ever published.
    pub published: Published,
    /// Its holders have it as ReadWriteMany block: a second one may join.
    pub shared: bool,
    /// The last generation ended with a node that was not seen to have let go: the next one settles.
    pub unproven: bool,
    /// The lease term of the controller that wrote this; 0 without Kubernetes.
    pub term: u32,
    /// The migration under way.
    pub migration: Option<Migration>,
    /// The last generation that this driver ended, while there is no other. A VolumeAttachment that names an older
    /// one was overtaken, and is never restored: another node may have written since.
    pub ended: Option<Generation>,
    /// Who holds the volume: at most two, and two only for ReadWriteMany block.
    pub holders: Vec<NodeRef>,
    /// Members of the present generation that left unproven while another stayed.
    pub left: Vec<NodeRef>,
}

/// A comment that begins like a record but is none that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Cut, edited, or otherwise not what was written.
    #[error("the record {0:?} is damaged")]
    Damaged(String),
    /// Written by another version of this driver.
    #[error("the record {0:?} is of a version that this driver does not read")]
    OtherVersion(String),
    /// Too many or too long holders for the bytes there are.
    #[error("the record would have {0} bytes, at most {MAX_RECORD_BYTES} fit")]
    TooLong(usize),
}

impl Record {
    /// The record of a new volume: owned, detached, never published.
    #[must_use]
    pub fn new(cluster: ClusterHash) -> Self {
        Self {
            cluster,
            generation: None,
            published: Published::default(),
            shared: false,
            unproven: false,
            term: 0,
            migration: None,
            ended: None,
            holders: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Reads a disk's comment: `None` where it is no record at all, so the disk is nobody's we know.
    ///
    /// # Errors
    /// [`RecordError::Damaged`] and [`RecordError::OtherVersion`]: the volume is somebody's, and
    /// must be neither changed nor deleted until it is repaired.
    pub fn parse(comment: &str) -> Result<Option<Self>, RecordError> {
        let shown = || comment.chars().take(MAX_RECORD_BYTES).collect::<String>();
        let version = comment.split(' ').next().unwrap_or_default();
        let Some(number) = version.strip_prefix(MARK) else { return Ok(None) };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        if version != VERSION {
            return Err(RecordError::OtherVersion(shown()));
        }
        parse_version_1(comment).map(Some).ok_or_else(|| RecordError::Damaged(shown()))
    }

    /// The comment to write. Node names that do not fit are hashed, the longest first, but for those who left only
    /// after all others: a holder is found again by its VolumeAttachment, and who left has none any more.
    ///
    /// # Errors
    /// [`RecordError::TooLong`] where not even hashed names fit.
    pub fn to_comment(&self) -> Result<String, RecordError> {
        let mut shortened = self.clone();
        loop {
            let text = shortened.to_string();
            if text.len() <= MAX_RECORD_BYTES {
                return Ok(text);
            }
            let longest = match longest_in_clear(&mut shortened.holders) {
                Some(longest) => longest,
                None => longest_in_clear(&mut shortened.left).ok_or(RecordError::TooLong(text.len()))?,
            };
            *longest = longest.hashed();
        }
    }

    /// The holder of that name, whatever its UID.
    #[must_use]
    pub fn holder(&self, node: &NodeId) -> Option<&NodeRef> {
        self.holders.iter().find(|holder| holder.is_named(node))
    }
}

/// Whose name gains most by being hashed; `None`: nobody's does.
fn longest_in_clear(members: &mut [NodeRef]) -> Option<&mut NodeRef> {
    let shrinks = |member: &&mut NodeRef| member.hashed().to_string().len() < member.to_string().len();
    members.iter_mut().filter(shrinks).max_by_key(|member| member.to_string().len())
}

fn parse_version_1(comment: &str) -> Option<Record> {
    let (body, crc) = comment.rsplit_once(' ')?;
    if comment.len() > MAX_RECORD_BYTES || checksum(body) != crc {
        return None;
    }
    let mut fields = body.split(' ').skip(1);
    let mut record = Record::new(ClusterHash::parse(fields.next()?)?);
    record.generation = match fields.next()? {
        "-" => None,
        text => Some(Generation::parse(text)?),
    };
    record.published = parse_published(fields.next()?)?;
    (record.shared, record.unproven) = parse_flags(fields.next()?)?;
    record.term = fields.next()?.strip_prefix('t')?.parse().ok()?;
    for field in fields {
        match field.split_at_checked(1)? {
            ("m", times) => record.migration = Some(parse_migration(times)?),
            ("e", generation) => record.ended = Some(Generation::parse(generation)?),
            ("h", members) => record.holders = parse_members(members)?,
            ("x", members) => record.left = parse_members(members)?,
            _ => return None,
        }
    }
    // One spelling a record: what is not written by `Display` is damaged.
    (record.to_string() == comment).then_some(record)
}

fn parse_published(text: &str) -> Option<Published> {
    match text {
        "-" => Some(Published::default()),
        "f" => Some(Published { filesystem: true, block: false }),
        "b" => Some(Published { filesystem: false, block: true }),
        "fb" => Some(Published { filesystem: true, block: true }),
        _ => None,
    }
}

/// Whether it is shared, and whether it is unproven.
fn parse_flags(text: &str) -> Option<(bool, bool)> {
    match text {
        "-" => Some((false, false)),
        "s" => Some((true, false)),
        "u" => Some((false, true)),
        "su" => Some((true, true)),
        _ => None,
    }
}

fn parse_migration(times: &str) -> Option<Migration> {
    let (started, deadline) = times.split_once('-')?;
    Some(Migration { started: started.parse().ok()?, deadline: deadline.parse().ok()? })
}

fn parse_members(text: &str) -> Option<Vec<NodeRef>> {
    let mut members: Vec<NodeRef> = text.split(',').map(NodeRef::parse).collect::<Option<_>>()?;
    // Thousands of records are kept while all volumes are looked at, and most have one member.
    members.shrink_to_fit();
    Some(members)
}

fn checksum(body: &str) -> String {
    format!("{:08x}", crc32fast::hash(body.as_bytes()))
}

impl Record {
    fn body(&self) -> String {
        let generation = self.generation.map_or_else(|| "-".to_owned(), |generation| generation.to_string());
        let flags = match (self.shared, self.unproven) {
            (false, false) => "-",
            (true, false) => "s",
            (false, true) => "u",
            (true, true) => "su",
        };
        let mut body =
            format!("{VERSION} {} {generation} {} {flags} t{}", self.cluster, self.published, self.term);
        if let Some(Migration { started, deadline }) = self.migration {
            body.push_str(&format!(" m{started}-{deadline}"));
        }
        if let Some(ended) = self.ended {
            body.push_str(&format!(" e{ended}"));
        }
        for (letter, members) in [('h', &self.holders), ('x', &self.left)] {
            if !members.is_empty() {
                let names: Vec<_> = members.iter().map(NodeRef::to_string).collect();
                body.push_str(&format!(" {letter}{}", names.join(",")));
            }
        }
        body
    }
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body();
        write!(formatter, "{body} {}", checksum(&body))
    }
}

impl fmt::Display for Published {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match (self.filesystem, self.block) {
            (false, false) => "-",
            (true, false) => "f",
            (false, true) => "b",
            (true, true) => "fb",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::NodeUid;
    use proptest::prelude::*;

    prop_compose! {
        fn members()(names in prop::collection::vec(("[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", any::<Option<u64>>()), 0..3))
            -> Vec<NodeRef>
        {
            names.iter().map(|(name, uid)| {
                let uid = uid.and_then(|uid| NodeUid::of(&uid.to_string()));
                NodeRef::new(&NodeId::of_node(name).unwrap(), uid)
            }).collect()
        }
    }

    prop_compose! {
        fn record()(
            cluster in "[0-9a-f]{8}", generation: Option<u64>, filesystem: bool, block: bool, shared: bool, unproven: bool,
            term: u32, migration: Option<(u32, u32)>, ended: Option<u64>, holders in members(), left in members(),
        ) -> Record {
            Record {
                cluster: ClusterHash::parse(&cluster).unwrap(),
                generation: generation.map(Generation::from_bits),
                published: Published { filesystem, block },
                shared,
                unproven,
                term,
                migration: migration.map(|(a, b)| Migration { started: a.into(), deadline: b.into() }),
                ended: ended.map(Generation::from_bits),
                holders,
                left,
            }
        }
    }

    proptest! {
        #[test]
        fn a_record_that_fits_round_trips_and_still_names_its_holders(record in record()) {
            if let Ok(comment) = record.to_comment() {
                prop_assert!(comment.len() <= MAX_RECORD_BYTES && comment.is_ascii());
                let read = Record::parse(&comment).unwrap().unwrap();
                prop_assert_eq!(read.to_comment().unwrap(), comment);
                for (written, read) in record.holders.iter().zip(&read.holders) {
                    prop_assert!(read.is_named(&written.node_id().unwrap()));
                    prop_assert_eq!(written.uid(), read.uid());
                }
                prop_assert_eq!((read.generation, read.ended), (record.generation, record.ended));
                prop_assert_eq!((read.shared, read.unproven), (record.shared, record.unproven));
            }
        }

        #[test]
        fn who_left_is_hashed_only_where_hashed_holders_do_not_make_room(record in record()) {
            if let Ok(comment) = record.to_comment() {
                let read = Record::parse(&comment).unwrap().unwrap();
                let is_clear = |member: &NodeRef| member.node_id().is_some();
                // A name that is shorter than its hash stays.
                let is_long = |member: &NodeRef| member.to_string().len() > member.hashed().to_string().len();
                let still_long = read.holders.iter().any(|holder| is_clear(holder) && is_long(holder));
                prop_assert!(!still_long || read.left.iter().all(is_clear), "{}", comment);
            }
        }

        #[test]
        fn one_holder_of_any_name_always_fits(record in record()) {
            let mut record = record;
            record.holders.truncate(1);
            record.left.truncate(1);
            prop_assert!(record.to_comment().is_ok());
        }

        #[test]
        fn a_record_with_any_byte_changed_or_cut_is_never_another_record(record in record(), at: prop::sample::Index) {
            let Ok(comment) = record.to_comment() else { return Ok(()) };
            let at = at.index(comment.len());
            let mut bytes = comment.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert!(!matches!(Record::parse(&changed), Ok(Some(_))));
            prop_assert!(!matches!(Record::parse(&comment[..at]), Ok(Some(_))));
        }

        #[test]
        fn parsing_never_panics(text in ".{0,250}", tail in "rds1 .{0,250}") {
            let _ = Record::parse(&text);
            let _ = Record::parse(&tail);
        }
    }

    #[test]
    fn a_foreign_comment_is_no_record_and_a_newer_one_is_refused() {
        for foreign in ["", "my disk", "rds", "rdsx 1", "root disk of node-a"] {
            assert_eq!(Record::parse(foreign), Ok(None), "{foreign:?}");
        }
        assert!(matches!(Record::parse("rds2 whatever"), Err(RecordError::OtherVersion(_))));
        assert!(matches!(Record::parse("rds1 whatever"), Err(RecordError::Damaged(_))));
    }
}
