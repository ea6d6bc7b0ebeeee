//! Mount options of the CO, passed through but for those that endanger data or other mounts.

/// mount(2) takes one page of options.
const LONGEST: usize = 4000;

/// Words, and beginnings of `word=…`, that are refused, and why.
const DENIED: [(&str, &str); 19] = [
    ("bind", "it turns the mount into another one"),
    ("rbind", "it turns the mount into another one"),
    ("move", "it turns the mount into another one"),
    ("remount", "it turns the mount into another one"),
    ("shared", "propagation belongs to the kubelet"),
    ("rshared", "propagation belongs to the kubelet"),
    ("private", "propagation belongs to the kubelet"),
    ("rprivate", "propagation belongs to the kubelet"),
    ("slave", "propagation belongs to the kubelet"),
    ("unbindable", "propagation belongs to the kubelet"),
    ("noload", "the journal must be replayed"),
    ("norecovery", "the journal must be replayed"),
    ("nobarrier", "a power cut would lose what was synced"),
    ("barrier", "a power cut could lose what was synced"),
    ("sb", "a backup superblock is for repair by hand"),
    ("journal_dev", "it names another device"),
    ("journal_path", "it names another device"),
    ("logdev", "it names another device"),
    ("rtdev", "it names another device"),
];

/// Checked mount options, one word each, in the CO's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountFlags(Vec<String>);

/// A mount option that is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mount option {option:?} is refused: {why}; remove it from mountOptions")]
pub struct FlagError {
    option: String,
    why: &'static str,
}

impl MountFlags {
    /// Checks options; each may hold several words between commas.
    ///
    /// # Errors
    /// The first that is denied or malformed.
    pub fn parse(flags: &[String]) -> Result<Self, FlagError> {
        let words: Vec<String> = flags
            .iter()
            .flat_map(|flag| flag.split(','))
            .filter(|word| !word.is_empty())
            .map(String::from)
            .collect();
        if words.iter().map(|word| word.len() + 1).sum::<usize>() > LONGEST {
            return Err(FlagError { option: "…".into(), why: "all options together exceed 4000 bytes" });
        }
        match words.iter().find_map(|word| denied(word)) {
            Some(error) => Err(error),
            None => Ok(Self(words)),
        }
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// Whether the last word on it says read-only.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.0.iter().rfind(|word| *word == "ro" || *word == "rw").is_some_and(|word| word == "ro")
    }
}

fn denied(word: &str) -> Option<FlagError> {
    let refuse = |why| Some(FlagError { option: word.chars().take(80).collect(), why });
    if !word.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("only printable ASCII without spaces is passed on");
    }
    let name = word.split('=').next().unwrap_or(word);
    DENIED.iter().find(|(denied, _)| *denied == name).and_then(|(_, why)| refuse(why))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(flags: &[&str]) -> Result<MountFlags, FlagError> {
        MountFlags::parse(&flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_pass_through_word_by_word() {
        let flags = parse(&["noatime,discard", "", "context=\"a:b\""]).unwrap();
        assert_eq!(flags.words(), ["noatime", "discard", "context=\"a:b\""]);
        assert!(parse(&["rw", "ro"]).unwrap().read_only());
        assert!(!parse(&["ro,rw"]).unwrap().read_only());
    }

    #[test]
    fn options_that_endanger_data_or_other_mounts_are_refused() {
        let long = "x".repeat(5000);
        for flag in
            ["bind", "noatime,remount", "norecovery", "sb=131073", "logdev=/dev/sda", "a\nb", "a b", &long]
        {
            assert!(parse(&[flag]).is_err(), "{flag:?}");
        }
    }
}
