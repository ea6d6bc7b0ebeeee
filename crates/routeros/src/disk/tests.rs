#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;

/// A file disk as a device of about 7.20 showed it over REST (routeros.md §1.7), shortened.
const NOT_EXPORTED: &str = r#"{".id":"*2","acquired":"false","block-device":"false","compress":"false",
    "disabled":"false","file-offset":"0","file-path":"/disk1/swap","file-size":"17179856896","free":"17179852800",
    "fs":"-","iscsi-export":"false","media-interface":"none","media-sharing":"false","model":"/disk1/swap",
    "mount-filesystem":"true","mounted":"false","nfs-sharing":"false","nvme-tcp-export":"false","parent":"",
    "size":"17179852800","slot":"file-disk1-swap","slot-default":"","smb-sharing":"false","swap":"true","type":"file"}"#;

fn row(json: &str) -> Row {
    serde_json::from_str(json).unwrap()
}

fn with(name: &str, value: &str) -> Row {
    row(NOT_EXPORTED).iter().filter(|(key, _)| *key != name).chain([(name, value)]).collect()
}

#[test]
fn a_disk_that_is_not_exported_is_read_as_captured() {
    let disk = DiskRow::try_from(&row(NOT_EXPORTED)).unwrap();
    assert_eq!((disk.id.as_str(), &*disk.slot, &*disk.disk_type), ("*2", "file-disk1-swap", "file"));
    assert_eq!((disk.file_size, disk.size), (Some(17_179_856_896), Some(17_179_852_800)));
    assert_eq!(
        (disk.file_path.as_deref(), disk.fs, disk.parent, disk.comment),
        (Some("/disk1/swap"), None, None, None)
    );
    assert_eq!((disk.mount_filesystem, disk.nvme_tcp_export), (Some(true), false));
    assert_eq!((disk.nvme_tcp_server_nqn, disk.nvme_tcp_server_port), (None, None));
}

#[test]
fn a_property_that_cannot_be_read_is_an_error_that_names_row_and_property() {
    let cases = [
        ("size", "53 687 091 200"),
        ("file-size", "50.0GiB"),
        ("file-size", "-1"),
        ("size", "+1"),
        ("size", "1e9"),
        ("size", "18446744073709551616"),
        ("nvme-tcp-export", "maybe"),
        ("nvme-tcp-server-port", "65536"),
        (".id", "2"),
    ];
    for (name, value) in cases {
        let error = DiskRow::try_from(&with(name, value)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{name}={value}");
        let shown = error.to_string();
        assert!(shown.contains(&format!("{name:?} = {value:?}")) && shown.contains("row"), "{shown}");
    }
}

#[test]
fn a_row_without_id_slot_or_type_is_no_disk() {
    for name in [".id", "slot", "type"] {
        let row: Row = row(NOT_EXPORTED).iter().filter(|(key, _)| *key != name).collect();
        assert_eq!(DiskRow::try_from(&row).unwrap_err().kind(), ErrorKind::Malformed, "{name}");
    }
}

/// A row with everything that [`DiskRow`] has, none of it as when absent.
const WHOLE: &str = r#"{".id":"*2B","slot":"v1","type":"file","parent":"raid10","disabled":"true","comment":"c",
    "file-path":"/raid10/v1.img","file-size":"1","size":"2","free":"3","fs":"xfs","fs-label":"l","mounted":"true",
    "mount-point":"m","mount-filesystem":"true","state":"clean","nvme-tcp-export":"true","nvme-tcp-server-port":"4420",
    "nvme-tcp-server-nqn":"nqn.a","nvme-tcp-server-allow-host-name":"nqn.b","smb-sharing":"true","nfs-sharing":"true",
    "media-sharing":"true","iscsi-export":"true"}"#;

#[test]
fn every_property_that_is_read_is_asked_for_and_no_other() {
    let whole = row(WHOLE);
    let disk = DiskRow::try_from(&whole).unwrap();
    let names: Vec<&str> = whole.iter().map(|(name, _)| name).collect();
    assert_eq!(names, DISK_PROPERTIES);
    for name in names.iter().filter(|name| ![".id", "slot", "type"].contains(name)) {
        let without: Row = whole.iter().filter(|(key, _)| key != name).collect();
        assert_ne!(DiskRow::try_from(&without).unwrap(), disk, "{name} is not read");
    }
}

proptest! {
    #[test]
    fn no_row_makes_the_reader_panic(
        names in prop::collection::vec(prop::sample::select(DISK_PROPERTIES.to_vec()), 0..24),
        values in prop::collection::vec("[0-9*a-fA-F]{0,24}|yes|no|true|false|.{0,12}", 24),
    ) {
        let _ = DiskRow::try_from(&names.into_iter().zip(values).collect::<Row>());
    }

    #[test]
    fn a_size_is_read_to_the_byte(size in 0_u64..) {
        prop_assert_eq!(DiskRow::try_from(&with("file-size", &size.to_string())).unwrap().file_size, Some(size));
    }
}
