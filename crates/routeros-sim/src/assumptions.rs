//! What nobody has seen a RouterOS device do, as named switches.
//!
//! Each entry of the table below is a question that the official manual and the known captures leave open.
//! A client is safe only if it works under every value, so each value is real behaviour here, none is a fact.

/// One open question: its name, what it may be, and what the simulator takes unless told otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Assumption {
    /// The name used by `--assume name=value`.
    pub name: &'static str,
    /// What the question is.
    pub question: &'static str,
    /// Where what little is known comes from.
    pub source: &'static str,
    /// Every value with what the simulated device then does; the first is the default.
    pub values: &'static [(&'static str, &'static str)],
}

/// Why `name=value` was not taken; says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssumptionError {
    /// No such question.
    #[error("no assumption is called `{name}`; there are: {allowed}")]
    Name {
        /// What was asked for.
        name: String,
        /// All names, comma-separated.
        allowed: String,
    },
    /// The question is known, the answer is not one of its values.
    #[error("assumption `{name}` cannot be `{value}`; it can be: {allowed}")]
    Value {
        /// The question.
        name: &'static str,
        /// What was given.
        value: String,
        /// Its values, comma-separated.
        allowed: String,
    },
    /// Not of the form `name=value`.
    #[error("`{0}` is not of the form name=value")]
    Form(String),
}

macro_rules! assumptions {
    ($(
        $(#[doc = $doc:literal])+
        $field:ident: $type:ident = $name:literal, $source:literal {
            $($variant:ident = $value:literal: $meaning:literal),+ $(,)?
        }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $type { $(#[doc = $meaning] $variant),+ }

            impl $type {
                const ALL: &'static [(&'static str, $type)] = &[$(($value, $type::$variant)),+];
            }
        )+

        /// One value for every open question; [`Default`] takes the first value of each.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Assumptions { $($(#[doc = $doc])+ pub $field: $type),+ }

        impl Default for Assumptions {
            fn default() -> Self {
                Self { $($field: $type::ALL[0].1),+ }
            }
        }

        impl Assumptions {
            /// Every open question, in the order of the documentation.
            pub const TABLE: &'static [Assumption] = &[$(Assumption {
                name: $name,
                question: concat!($($doc),+),
                source: $source,
                values: &[$(($value, $meaning)),+],
            }),+];

            /// Answers one question.
            ///
            /// # Errors
            /// The name or the value is none of the table; the error lists what is.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), AssumptionError> {
                match name {
                    $($name => self.$field = pick($name, $type::ALL, value)?,)+
                    _ => return Err(AssumptionError::Name {
                        name: name.to_owned(),
                        allowed: list(Self::TABLE.iter().map(|a| a.name)),
                    }),
                }
                Ok(())
            }

            /// The present answer of every question, by name.
            pub fn values(&self) -> Vec<(&'static str, &'static str)> {
                vec![$(($name, spelled($type::ALL, self.$field))),+]
            }
        }
    };
}

assumptions! {
    /// How long a slot name may be, in characters.
    slot_length: SlotLength = "slot-length", "O [SC] 7.24.4: 32; O [RDSCSI]: 40 were seen" {
        Max32 = "32": "more than 32 characters are refused",
        Max40 = "40": "more than 40 characters are refused",
        Unlimited = "none": "any length is taken",
    }
    /// Whether a second disk may carry a slot that is in use.
    duplicate_slot: DuplicateSlot = "duplicate-slot", "U" {
        Refused = "refused": "`failure: already have such entry`",
        Accepted = "accepted": "two rows with one slot",
    }
    /// Whether two disks may carry one NQN.
    duplicate_nqn: DuplicateNqn = "duplicate-nqn", "U" {
        Refused = "refused": "`failure: already have such entry`",
        Accepted = "accepted": "both rows carry it, the first export keeps serving it",
    }
    /// What add does with an explicit file-size where a file is already at file-path.
    existing_file: ExistingFile = "existing-file", "I [CLI] file-size is `when creating`" {
        Adopted = "adopted": "its data stay, it only ever grows",
        Refused = "refused": "`failure: file already exists`",
        Truncated = "truncated": "its data are gone",
    }
    /// Whether file-size is taken to the byte.
    file_size: FileSize = "file-size", "U" {
        Exact = "exact": "to the byte",
        Rounded = "rounded": "up to a multiple of 4096",
    }
    /// Whether an image takes its room at once.
    image: Image = "image", "U" {
        Sparse = "sparse": "room is taken by writes, adding more than is free succeeds",
        Preallocated = "preallocated": "room is taken at add, more than is free is refused",
    }
    /// Which comments are kept as they were sent.
    comment: Comment = "comment", "U" {
        Ascii255 = "255-ascii": "printable ASCII of 255 bytes at most, else refused",
        Longer = "longer": "anything",
        Cut = "cut": "silently cut after 128 bytes",
        Charset = "charset": "every byte outside letters, digits, space and `._:-` silently becomes `_`",
    }
    /// What is left of a set of several properties when one of them is refused.
    set_many: SetMany = "set-many", "U" {
        AllOrNothing = "all-or-nothing": "nothing",
        Partial = "partial": "those before the refused one were applied",
    }
    /// What a changed NQN does to a live export.
    nqn_change: NqnChange = "nqn-change-while-exported", "U" {
        Refused = "refused": "`failure: disk is exported`",
        Applied = "applied": "the old name ends with its sessions, the new one is served",
        AtNextExport = "at-next-export": "the row shows the new name, the old one is served until the next export",
    }
    /// What has happened to the hosts when the set that ends an export is answered.
    unexport: Unexport = "unexport", "U; Linux nvmet 6.1 returns early" {
        ReturnsEarly = "returns-early": "sessions end, writes that were accepted may still land",
        Drains = "drains": "sessions ended, every accepted write landed",
        DisablesNamespace = "disables-namespace-first": "the namespace vanishes under live sessions, then they end",
        LeavesSessions = "leaves-live-sessions": "no new session, the live ones go on writing",
    }
    /// What the row says of the NQN once the export ended.
    nqn_after_unexport: NqnAfterUnexport = "nqn-after-unexport", "S [TF] absent when never exported, else U" {
        Hidden = "hidden": "not shown, kept for the next export",
        Kept = "kept": "shown",
        Cleared = "cleared": "forgotten",
    }
    /// What a power cut does to the last configuration change.
    durability: Durability = "durability", "U" {
        Keeps = "keeps": "it stays",
        Reverts = "reverts": "it is undone",
    }
    /// What nvme-tcp-server-allow-host-name takes, and whether a changed value ends sessions.
    allow_list: AllowList = "allow-list", "U; Linux nvmet 6.1 leaves live sessions" {
        One = "one": "one host NQN; a host no longer named keeps its live session",
        Comma = "comma": "a comma-separated list; a host no longer named keeps its live session",
        OneEndsSessions = "one-ends-sessions": "one host NQN; every session of others ends",
        CommaEndsSessions = "comma-ends-sessions": "a comma-separated list; every session of others ends",
    }
    /// How long a namespace keeps its UUID and serial.
    namespace_id: NamespaceId = "namespace-id", "U" {
        Persistent = "persistent": "as long as the disk row",
        PerExport = "per-export": "new ones at every export",
        PerBoot = "per-boot": "new ones at every boot",
    }
    /// What a host that reconnects while the device boots meets.
    boot: Boot = "boot", "U" {
        ExportsFirst = "exports-first": "a closed port until every export is there",
        ListensFirst = "listens-first": "an open port that knows no NQN yet",
    }
    /// How a host learns that an exported disk has grown.
    growth: Growth = "growth", "U" {
        Identify = "identify": "by asking again (rescan)",
        Announced = "announced": "by an event of the device",
        ReExport = "re-export": "only after the next export",
    }
    /// What remove does to a disk that a host is connected to.
    remove_connected: RemoveConnected = "remove-while-connected", "U" {
        Refused = "refused": "`failure: disk is in use`",
        Applied = "applied": "the sessions end, the row goes",
    }
    /// In which order the waiting requests of one user are served.
    order: Order = "order", "S [MAN:REST] one at a time; the order U" {
        Fifo = "fifo": "as they came; one that outlived its cap keeps its turn",
        None = "none": "the last first; one that outlived its cap gives up its turn",
    }
    /// What happens to a request whose client went away.
    after_disconnect: AfterDisconnect = "request-after-disconnect", "S [MAN:REST] it goes on" {
        GoesOn = "goes-on": "it runs to its end or the 60 s cap",
        Dropped = "dropped": "it ends where it is",
    }
    /// Whether a connection serves more than one request.
    keep_alive: KeepAlive = "keep-alive", "U" {
        Kept = "kept": "yes",
        Closed = "closed": "closed after each answer",
    }
    /// Which TLS versions www-ssl speaks.
    tls: Tls = "tls", "O up to 1.2 is listed" {
        V12 = "1.2": "1.2 only",
        V13 = "1.3": "1.2 and 1.3",
    }
    /// Whether a host's discard frees room in the pool.
    discard: Discard = "discard", "U" {
        PunchesHoles = "punches-holes": "yes",
        Ignored = "ignored": "discard is not offered",
    }
    /// What add with copy-from copies.
    copy_from: CopyFrom = "copy-from", "S [scripting manual] default values of properties" {
        Properties = "properties": "the values of unset properties, NQN and export flag too",
        Data = "data": "those, and the image's bytes into the new file",
    }
    /// What /file/copy does.
    file_copy: FileCopy = "file-copy", "S exists from 7.23; the rest U" {
        Full = "full": "copies every byte",
        Reflink = "reflink": "shares the blocks where the pool can",
        Absent = "absent": "no such command",
    }
    /// The NQN of an export that was given none.
    default_nqn: DefaultNqn = "default-nqn", "U; the iSCSI name is iqn.2000-02.com.mikrotik:<slot>" {
        Prefixed = "prefixed": "nqn.2000-02.com.mikrotik:<slot>",
        Slot = "slot": "the slot itself, as before 7.21",
    }
    /// What /file/remove does to a file that a disk row uses.
    remove_used_file: RemoveUsedFile = "remove-used-file", "U" {
        Refused = "refused": "`failure: file is in use`",
        Applied = "applied": "the file goes, the row stays",
    }
    /// What a smaller file-size does.
    shrink: Shrink = "shrink", "U" {
        Refused = "refused": "`invalid value for argument file-size`",
        Applied = "applied": "the end of the image is gone",
    }
    /// Where the counters of a disk (read-ops and the like) are found.
    disk_counters: DiskCounters = "disk-counters", "S [CLI] properties of /disk; S [TF] a full row lacks them; the rest U" {
        Named = "named": "in rows of /disk where .proplist names them, and by monitor-traffic",
        Monitored = "monitored": "by monitor-traffic only",
    }
    /// What monitor-traffic answers for several disks.
    monitor_several: MonitorSeveral = "monitor-several", "U" {
        Each = "each": "a row for each",
        First = "first": "a row for the first",
    }
    /// Which sensors /system/health has.
    health_sensors: HealthSensors = "health-sensors", "S names vary by model; which an RDS has: K" {
        Rack = "rack": "temperatures, two fans and two power supplies",
        Small = "small": "one temperature, one fan, and states that are words",
        None = "none": "none, as a virtual machine",
    }
    /// What add does where the directory of file-path is missing.
    missing_directory: MissingDirectory = "missing-directory", "U" {
        Created = "created": "it is made",
        Refused = "refused": "`failure: no such directory`",
    }
}

impl Assumptions {
    /// Takes one `name=value`.
    ///
    /// # Errors
    /// As [`Assumptions::set`], or the text has no `=`.
    pub fn assume(&mut self, text: &str) -> Result<(), AssumptionError> {
        let (name, value) = text.split_once('=').ok_or_else(|| AssumptionError::Form(text.to_owned()))?;
        self.set(name.trim(), value.trim())
    }
}

impl AllowList {
    /// The host NQNs that `text` lets in; empty means any host.
    pub fn hosts(self, text: &str) -> Vec<String> {
        match self {
            _ if text.is_empty() => Vec::new(),
            Self::One | Self::OneEndsSessions => vec![text.to_owned()],
            Self::Comma | Self::CommaEndsSessions => {
                text.split(',').map(str::trim).filter(|h| !h.is_empty()).map(str::to_owned).collect()
            }
        }
    }

    /// Whether a host that a change leaves out is disconnected.
    pub fn ends_sessions(self) -> bool {
        matches!(self, Self::OneEndsSessions | Self::CommaEndsSessions)
    }
}

impl SlotLength {
    /// The longest slot, in characters.
    pub fn limit(self) -> Option<usize> {
        match self {
            Self::Max32 => Some(32),
            Self::Max40 => Some(40),
            Self::Unlimited => None,
        }
    }
}

fn pick<T: Copy>(
    name: &'static str,
    all: &'static [(&'static str, T)],
    value: &str,
) -> Result<T, AssumptionError> {
    all.iter().find(|(spelling, _)| *spelling == value).map(|(_, picked)| *picked).ok_or_else(|| {
        AssumptionError::Value { name, value: value.to_owned(), allowed: list(all.iter().map(|(v, _)| *v)) }
    })
}

fn spelled<T: Copy + PartialEq>(all: &'static [(&'static str, T)], value: T) -> &'static str {
    all.iter().find(|(_, each)| *each == value).map_or("", |(spelling, _)| spelling)
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_value_of_every_assumption_is_taken_and_told_back() {
        for question in Assumptions::TABLE {
            for (value, _) in question.values {
                let mut assumptions = Assumptions::default();
                assumptions.set(question.name, value).unwrap();
                assert!(assumptions.values().contains(&(question.name, *value)), "{}={value}", question.name);
            }
        }
    }

    #[test]
    fn the_default_is_the_first_value_of_the_table() {
        let defaults = Assumptions::default().values();
        let first: Vec<_> = Assumptions::TABLE.iter().map(|a| (a.name, a.values[0].0)).collect();
        assert_eq!(defaults, first);
    }

    #[test]
    fn a_wrong_name_or_value_is_answered_by_what_is_allowed() {
        let mut assumptions = Assumptions::default();
        let cases = [
            ("slot-length=33", "assumption `slot-length` cannot be `33`; it can be: 32, 40, none"),
            ("slot-length", "`slot-length` is not of the form name=value"),
        ];
        for (text, message) in cases {
            assert_eq!(assumptions.assume(text).unwrap_err().to_string(), message);
        }
        let unknown = assumptions.assume("weather=fine").unwrap_err().to_string();
        assert!(unknown.contains("`weather`") && unknown.contains("duplicate-nqn"), "{unknown}");
    }
}
