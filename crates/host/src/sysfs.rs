//! NVMe in sysfs (node.md rule 1): subsystems by exact NQN, multipath heads, never their paths.

use std::io;
use std::path::Path;

use crate::{Controller, ControllerState, Device, Error, ErrorKind, Namespace, Result, Subsystem};

/// The unit of `size` whatever the block size is (Linux, block/genhd.c).
const SECTOR: u64 = 512;

/// Every NVMe subsystem.
pub(crate) fn subsystems(sys: &Path) -> Result<Vec<Subsystem>> {
    look(sys, |_| true)
}

/// Those of this NQN. Of every other one its name alone is read: where many connect at once, the helper of each looks after
/// the events of all.
pub(crate) fn subsystems_of(sys: &Path, nqn: &str) -> Result<Vec<Subsystem>> {
    look(sys, |shown| shown == nqn)
}

fn look(sys: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Subsystem>> {
    let class = sys.join("class/nvme-subsystem");
    let names = match names(&class) {
        Ok(names) => names,
        // Without the class there is no NVMe at all; without /sys/class nothing is known.
        Err(error) if error.kind() == io::ErrorKind::NotFound && sys.join("class").is_dir() => Vec::new(),
        Err(error) => return Err(Error::io("read", &class, &error)),
    };
    let mut subsystems = Vec::new();
    for name in names {
        subsystems.extend(unless_gone(subsystem(&class.join(name), &is_wanted))?.flatten());
    }
    Ok(subsystems)
}

/// Why this kernel makes no multipath heads, where it does not.
pub(crate) fn lacks_multipath(sys: &Path) -> Option<&'static str> {
    match std::fs::read_to_string(sys.join("module/nvme_core/parameters/multipath")) {
        Ok(value) if value.trim() == "Y" => None,
        Ok(_) => {
            Some("nvme_core.multipath=N: this driver needs multipath heads; boot with nvme_core.multipath=Y")
        }
        Err(_) => Some("this kernel has no NVMe multipath (CONFIG_NVME_MULTIPATH), which this driver needs"),
    }
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// What went while it was looked at is not there.
fn unless_gone<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == ErrorKind::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

fn subsystem(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Option<Subsystem>> {
    let nqn = attribute(&directory.join("subsysnqn"))?;
    if !is_wanted(&nqn) {
        return Ok(None);
    }
    let entries = names(directory).map_err(|error| Error::io("read", directory, &error))?;
    let (mut controllers, mut namespaces) = (Vec::new(), Vec::new());
    for name in entries {
        let path = directory.join(&name);
        match parse_name(&name) {
            Some(Name::Controller) => controllers.extend(unless_gone(controller(&path, name))?),
            Some(Name::Head) => namespaces.extend(unless_gone(namespace(&path, name, &nqn))?),
            None => {}
        }
    }
    Ok(Some(Subsystem { nqn, controllers, namespaces }))
}

#[derive(Debug, PartialEq, Eq)]
enum Name {
    Controller,
    Head,
}

/// `nvme3` is a controller, `nvme3n1` a head; `nvme3c4n1` is a path and nobody's device.
fn parse_name(name: &str) -> Option<Name> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let rest = name.strip_prefix("nvme")?;
    match rest.split_once('n') {
        None => number(rest).then_some(Name::Controller),
        Some((instance, namespace)) => (number(instance) && number(namespace)).then_some(Name::Head),
    }
}

/// The state of a controller by its name; `None` where there is none.
pub(crate) fn controller_state(sys: &Path, name: &str) -> Result<Option<ControllerState>> {
    unless_gone(state(&sys.join("class/nvme").join(name)))
}

fn state(controller: &Path) -> Result<ControllerState> {
    Ok(match attribute(&controller.join("state"))?.as_str() {
        "live" => ControllerState::Live,
        "new" | "resetting" | "connecting" => ControllerState::Reconnecting,
        "deleting" | "deleting (no IO)" | "dead" => ControllerState::Deleting,
        other => ControllerState::Other(other.to_owned()),
    })
}

fn controller(path: &Path, name: String) -> Result<Controller> {
    let state = state(path)?;
    // Without an address it is still a controller: local drives of some kernels have none.
    let address = unless_gone(attribute(&path.join("address")))?.unwrap_or_default();
    Ok(Controller { name, state, address })
}

fn namespace(path: &Path, name: String, nqn: &str) -> Result<Namespace> {
    let malformed = |what: &str, text: &str| {
        Error::new(ErrorKind::Malformed, format!("{}/{what}: {text:?}", path.display()))
    };
    let number = |what: &str| {
        let text = attribute(&path.join(what))?;
        text.parse::<u64>().map_err(|_| malformed(what, &text))
    };
    let dev = attribute(&path.join("dev"))?;
    let (major, minor) = parse_dev(&dev).ok_or_else(|| malformed("dev", &dev))?;
    let id = u32::try_from(number("nsid")?).map_err(|_| malformed("nsid", "too large"))?;
    let bytes = number("size")?.checked_mul(SECTOR).ok_or_else(|| malformed("size", "too large"))?;
    let device = Device { name, major, minor, nqn: Some(nqn.to_owned()) };
    Ok(Namespace { id, device, bytes })
}

/// Whether the kernel has this very device: its number, and under it the subsystem that is expected.
pub(crate) fn is_there(sys: &Path, device: &Device) -> Result<bool> {
    let path = sys.join(format!("dev/block/{}:{}", device.major, device.minor));
    if !path.try_exists().map_err(|error| Error::io("stat", &path, &error))? {
        return Ok(false);
    }
    let Some(expected) = &device.nqn else { return Ok(true) };
    // A head's parent is its subsystem (Linux, nvme_mpath_set_live).
    let shown = unless_gone(attribute(&path.join("device/subsysnqn")))?;
    Ok(shown.as_ref() == Some(expected))
}

/// `259:3`.
pub(crate) fn parse_dev(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn attribute(path: &Path) -> Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').trim_end().to_owned()),
        // ENODEV: the device went while its attribute was open.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => {
            Err(Error::new(ErrorKind::Missing, format!("{} went away", path.display())))
        }
        Err(error) => Err(Error::io("read", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn put(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn heads_are_found_and_paths_are_not() {
        let root = tempfile::tempdir().unwrap();
        let base = "class/nvme-subsystem/nvme-subsys3";
        let file = |name: &str| format!("{base}/{name}");
        put(
            root.path(),
            &[
                (&file("subsysnqn"), "nqn.test:vol.0000000000000001\n"),
                (&file("model"), "Linux\n"),
                (&file("nvme3/state"), "connecting\n"),
                (&file("nvme3/address"), "traddr=10.0.0.1,trsvcid=4420\n"),
                (&file("nvme3n1/dev"), "259:5\n"),
                (&file("nvme3n1/nsid"), "1\n"),
                (&file("nvme3n1/size"), "32768\n"),
                (&file("nvme3c3n1/size"), "32768\n"),
            ],
        );
        let found = subsystems(root.path()).unwrap();
        let controller = Controller {
            name: "nvme3".into(),
            state: ControllerState::Reconnecting,
            address: "traddr=10.0.0.1,trsvcid=4420".into(),
        };
        let nqn = "nqn.test:vol.0000000000000001".to_owned();
        let device = Device { name: "nvme3n1".into(), major: 259, minor: 5, nqn: Some(nqn.clone()) };
        let namespace = Namespace { id: 1, device, bytes: 16 << 20 };
        assert_eq!(found, [Subsystem { nqn, controllers: vec![controller], namespaces: vec![namespace] }]);
    }

    #[test]
    fn a_head_that_cannot_be_understood_is_an_error_and_one_that_goes_is_not() {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().join("class/nvme-subsystem/nvme-subsys0");
        put(&base, &[("subsysnqn", "nqn.test:vol\n"), ("nvme0n1/nsid", "1\n")]);
        assert!(subsystems(root.path()).unwrap()[0].namespaces.is_empty());
        put(&base, &[("nvme0n1/dev", "259\n"), ("nvme0n1/size", "8\n")]);
        assert_eq!(subsystems(root.path()).unwrap_err().kind, ErrorKind::Malformed);
    }

    #[test]
    fn of_the_subsystems_of_another_nqn_nothing_but_the_nqn_is_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let class = root.path().join("class/nvme-subsystem");
        for (number, dev, nqn) in [(0, "no number", "nqn.test:other"), (1, "259:5", "nqn.test:vol")] {
            let base = class.join(format!("nvme-subsys{number}"));
            let head = |name: &str| format!("nvme{number}n1/{name}");
            put(
                &base,
                &[("subsysnqn", nqn), (&head("dev"), dev), (&head("nsid"), "1"), (&head("size"), "8")],
            );
        }
        assert_eq!(subsystems(root.path()).unwrap_err().kind, ErrorKind::Malformed);
        let found = subsystems_of(root.path(), "nqn.test:vol").unwrap();
        assert_eq!((found.len(), found[0].nqn.as_str()), (1, "nqn.test:vol"));
        assert_eq!(found[0].namespaces[0].device.minor, 5);
        assert_eq!(subsystems_of(root.path(), "nqn.test:vo").unwrap(), []);
    }

    /// One subsystem with one of everything, below `class`.
    const WHOLE: [(&str, &str); 6] = [
        ("nvme-subsystem/nvme-subsys0/subsysnqn", "nqn.test:vol\n"),
        ("nvme-subsystem/nvme-subsys0/nvme0/state", "live\n"),
        ("nvme-subsystem/nvme-subsys0/nvme0/address", "traddr=10.0.0.1\n"),
        ("nvme-subsystem/nvme-subsys0/nvme0n1/dev", "259:5\n"),
        ("nvme-subsystem/nvme-subsys0/nvme0n1/nsid", "1\n"),
        ("nvme-subsystem/nvme-subsys0/nvme0n1/size", "8\n"),
    ];

    #[test]
    fn whatever_goes_while_it_is_looked_at_is_not_there_and_the_others_are() {
        for (gone, _) in WHOLE {
            let root = tempfile::tempdir().unwrap();
            let class = root.path().join("class");
            put(&class, &WHOLE);
            put(&class, &[("nvme-subsystem/nvme-subsys1/subsysnqn", "nqn.test:other\n")]);
            // What is listed and went before it was opened.
            std::os::unix::fs::symlink("nowhere", class.join("nvme-subsystem/nvme-subsys2")).unwrap();
            std::fs::remove_file(class.join(gone)).unwrap();
            let found = subsystems(root.path()).unwrap();
            let nqns: Vec<&str> = found.iter().map(|subsystem| subsystem.nqn.as_str()).collect();
            if gone.ends_with("subsysnqn") {
                assert_eq!(nqns, ["nqn.test:other"]);
                continue;
            }
            assert_eq!(nqns, ["nqn.test:vol", "nqn.test:other"], "without {gone}");
            let shown = (found[0].controllers.len(), found[0].namespaces.len());
            let expected = if gone.ends_with("address") {
                (1, 1)
            } else if gone.contains("nvme0n1") {
                (1, 0)
            } else {
                (0, 1)
            };
            assert_eq!(shown, expected, "without {gone}");
        }
    }

    #[test]
    fn every_state_that_a_controller_can_be_in_is_told_and_only_one_is_live() {
        let root = tempfile::tempdir().unwrap();
        for (word, expected) in [
            ("live", ControllerState::Live),
            ("new", ControllerState::Reconnecting),
            ("resetting", ControllerState::Reconnecting),
            ("connecting", ControllerState::Reconnecting),
            ("deleting", ControllerState::Deleting),
            ("deleting (no IO)", ControllerState::Deleting),
            ("dead", ControllerState::Deleting),
            ("unknown", ControllerState::Other("unknown".into())),
            ("", ControllerState::Other(String::new())),
        ] {
            put(root.path(), &[("class/nvme/nvme3/state", &format!("{word}\n"))]);
            assert_eq!(controller_state(root.path(), "nvme3").unwrap(), Some(expected), "{word:?}");
        }
    }

    #[test]
    fn a_device_whose_number_went_to_another_subsystem_is_not_there() {
        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            &[("dev/block/259:5/device/subsysnqn", "nqn.test:b\n"), ("dev/block/7:0/size", "8\n")],
        );
        let device = |major, minor, nqn: Option<&str>| Device {
            name: "nvme3n1".into(),
            major,
            minor,
            nqn: nqn.map(str::to_owned),
        };
        for (device, expected) in [
            (device(259, 5, Some("nqn.test:b")), true),
            (device(259, 5, Some("nqn.test:a")), false),
            (device(259, 6, Some("nqn.test:b")), false),
            (device(7, 0, Some("nqn.test:b")), false),
            (device(7, 0, None), true),
        ] {
            assert_eq!(is_there(root.path(), &device).unwrap(), expected, "{device:?}");
        }
    }

    #[test]
    fn a_controllers_state_is_read_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), &[("class/nvme/nvme3/state", "connecting\n")]);
        for (name, expected) in [("nvme3", Some(ControllerState::Reconnecting)), ("nvme4", None)] {
            assert_eq!(controller_state(root.path(), name).unwrap(), expected);
        }
    }

    #[test]
    fn without_sysfs_nothing_is_known_and_without_nvme_nothing_is_there() {
        let root = tempfile::tempdir().unwrap();
        assert!(subsystems(root.path()).is_err());
        std::fs::create_dir(root.path().join("class")).unwrap();
        assert_eq!(subsystems(root.path()).unwrap(), []);
    }

    #[test]
    fn a_kernel_without_multipath_is_named() {
        let root = tempfile::tempdir().unwrap();
        assert!(lacks_multipath(root.path()).is_some());
        for (value, lacks) in [("N\n", true), ("Y\n", false)] {
            put(root.path(), &[("module/nvme_core/parameters/multipath", value)]);
            assert_eq!(lacks_multipath(root.path()).is_some(), lacks);
        }
    }

    proptest! {
        #[test]
        fn names_and_numbers_never_panic(text in ".{0,20}") {
            let _ = (parse_name(&text), parse_dev(&text));
        }

        #[test]
        fn only_heads_are_heads(a in 0_u32..100, b in 0_u32..100, c in 1_u32..100) {
            prop_assert_eq!(parse_name(&format!("nvme{a}n{c}")), Some(Name::Head));
            prop_assert_eq!(parse_name(&format!("nvme{a}")), Some(Name::Controller));
            prop_assert_eq!(parse_name(&format!("nvme{a}c{b}n{c}")), None);
            prop_assert_eq!(parse_name(&format!("nvme{a}n{c}p1")), None);
        }
    }
}
