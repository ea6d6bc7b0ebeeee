//! What a row of `/disk` shows over REST: flags as properties, absent keys where a setting does not apply.

use super::{DEFAULT_PORT, Disk, Pool};
use crate::assumptions::NqnAfterUnexport;
use crate::device::row::{Property, View, text, truth};
use crate::menu::Value;

const NO: Option<Value> = Some(Value::Borrowed("false"));

fn number(value: impl ToString) -> Option<Value> {
    Some(Value::Owned(value.to_string()))
}

/// A target setting: always shown while exported, afterwards as the `nqn-after-unexport` assumption says.
fn target(disk: &Disk, view: &View<'_>, value: Option<Value>) -> Option<Value> {
    let kept = view.assumptions.nqn_after_unexport == NqnAfterUnexport::Kept && disk.nvme.nqn.is_some();
    value.filter(|_| disk.nvme.export || kept)
}

fn file(disk: &Disk, value: impl FnOnce() -> Option<Value>) -> Option<Value> {
    (disk.kind == "file").then(value).flatten()
}

fn pool(disk: &Disk, value: impl FnOnce(&Pool) -> Option<Value>) -> Option<Value> {
    disk.pool.as_ref().and_then(value)
}

/// An argument that is kept as set, with what the device shows where it never was.
fn other(disk: &Disk, name: &str, unset: &'static str) -> Option<Value> {
    disk.other.get(name).map_or(Some(Value::Borrowed(unset)), |value| text(value))
}

fn raid(disk: &Disk, value: &'static str) -> Option<Value> {
    (disk.kind == "raid").then_some(Value::Borrowed(value))
}

fn model(disk: &Disk) -> Option<Value> {
    match disk.kind.as_str() {
        "file" => Some(Value::Owned(format!("/{}", disk.file_path))),
        "raid" => Some(Value::Borrowed("RAID0 striped")),
        _ => Some(Value::Borrowed("Simulated")),
    }
}

fn percent_used(pool: &Pool, free: u64) -> Option<Value> {
    let used = u128::from(pool.size.saturating_sub(free)) * 100 / u128::from(pool.size.max(1));
    Some(Value::Owned(format!("{used}%")))
}

/// Every property that the simulated rows may have, as `print` lists them: `.id`, then by name.
pub(crate) static PROPERTIES: &[Property<Disk>] = &[
    Property::new(".id", |d, _| Some(Value::Owned(d.number()))),
    Property::new("acquired", |_, _| NO),
    Property::new("block-device", |d, _| truth(!d.swap)),
    Property::new("comment", |d, _| d.comment.as_deref().and_then(text)),
    Property::new("compress", |d, _| other(d, "compress", "false")),
    Property::new("disabled", |d, _| truth(d.disabled)),
    Property::new("empty", |_, _| NO),
    Property::new("encrypted", |_, _| NO),
    Property::new("file-offset", |d, _| file(d, || number(d.file_offset))),
    Property::new("file-path", |d, _| file(d, || Some(Value::Owned(format!("/{}", d.file_path))))),
    Property::new("file-size", |d, _| file(d, || number(d.file_size))),
    Property::new("formatting", |_, _| NO),
    Property::new("free", |d, v| pool(d, |_| number(v.free(d)))),
    Property::new("fs", |d, _| pool(d, |p| text(&p.fs)).or(Some(Value::Borrowed("-")))),
    Property::new("fs-label", |d, _| pool(d, |_| Some(Value::Owned(format!("{}-fs", d.slot))))),
    Property::new("fs-uuid", |d, _| pool(d, |_| number(d.identity.uuid))),
    Property::new("guid-partition-table", |_, _| NO),
    Property::new("iscsi-export", |d, _| truth(d.iscsi_export)),
    Property::new("media-interface", |d, _| other(d, "media-interface", "none")),
    Property::new("media-sharing", |d, _| truth(d.media_sharing)),
    Property::new("model", |d, _| model(d)),
    Property::new("mount-filesystem", |d, _| truth(d.mount_filesystem)),
    Property::new("mount-point", |d, _| pool(d, |_| text(&d.slot))),
    Property::new("mount-read-only", |d, _| truth(d.mount_read_only)),
    Property::new("mounted", |d, _| truth(d.pool.is_some())),
    Property::new("nfs-sharing", |d, _| truth(d.nfs_sharing)),
    Property::new("nvme-tcp-export", |d, _| truth(d.nvme.export)),
    Property::new("nvme-tcp-server-allow-host-name", |d, v| target(d, v, text(&d.nvme.allow_host_name))),
    Property::new("nvme-tcp-server-nqn", |d, v| target(d, v, Some(Value::Owned(d.nqn(v.assumptions))))),
    Property::new("nvme-tcp-server-password", |d, v| {
        target(d, v, d.nvme.password.as_deref().filter(|_| v.sensitive).and_then(text))
    }),
    Property::new("nvme-tcp-server-port", |d, v| target(d, v, number(d.nvme.port.unwrap_or(DEFAULT_PORT)))),
    Property::new("parent", |d, _| other(d, "parent", "")),
    Property::new("partition", |_, _| NO),
    Property::new("raid-chunk-size", |d, _| raid(d, "256K")),
    Property::new("raid-device-count", |d, _| raid(d, "4")),
    Property::new("raid-master", |d, _| other(d, "raid-master", "none")),
    Property::new("raid-max-component-size", |d, _| raid(d, "none")),
    Property::new("raid-member", |_, _| NO),
    Property::new("raid-member-failed", |_, _| NO),
    Property::new("raid-type", |d, _| raid(d, "0")),
    Property::new("sector-size", |d, _| (!d.swap).then_some(Value::Borrowed("512"))),
    Property::new("self-encrypted-and-locked", |_, _| NO),
    Property::new("self-encryption-enabled", |_, _| NO),
    Property::new("self-encryption-supported", |_, _| NO),
    Property::new("size", |d, _| number(d.size())),
    Property::new("slot", |d, _| text(&d.slot)),
    Property::new("slot-default", |_, _| Some(Value::Borrowed(""))),
    Property::new("smb-sharing", |d, _| truth(d.smb_sharing)),
    Property::new("state", |d, _| raid(d, "clean")),
    Property::new("swap", |d, _| truth(d.swap)),
    Property::new("swap-enabled", |d, _| truth(d.swap)),
    Property::new("type", |d, _| text(&d.kind)),
    Property::new("use", |d, v| pool(d, |p| percent_used(p, v.free(d)))),
];
