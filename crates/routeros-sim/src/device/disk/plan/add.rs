//! `/disk/add`.

use super::{assign, export, unique_nqn, unique_slot};
use crate::assumptions::{CopyFrom, ExistingFile, Image};
use crate::device::Scene;
use crate::device::disk::Disk;
use crate::device::file::File;
use crate::device::plan::{Change, Effect, Plan, Step};
use crate::menu::{Reply, Trap};
use crate::plane::NamespaceIdentity;

/// Whether images take their room at once.
pub(super) fn preallocates(scene: &Scene<'_>) -> bool {
    scene.assumptions.image == Image::Preallocated
}

/// Plans an add: the image, then the export, then the row.
pub(super) fn plan(scene: &Scene<'_>, arguments: &[(String, String)]) -> Result<Plan, Trap> {
    let (mut disk, source) = configured(scene, arguments)?;
    let given = |wanted: &str| arguments.iter().any(|(name, _)| name == wanted);
    let mut steps = Vec::new();
    if disk.kind == "file" {
        if disk.file_path.is_empty() {
            return Err(missing("file-path"));
        }
        steps = image(scene, &mut disk, given("file-size"))?;
        if let Some(source) = source.filter(|source| source.file_path != disk.file_path) {
            steps.extend(copied(scene, source, &disk));
        }
    }
    if disk.slot.is_empty() {
        disk.slot = disk.default_slot();
    }
    unique_slot(scene, &disk)?;
    unique_nqn(scene, &disk)?;
    disk.id = scene.id_after(&steps);
    steps.extend(export::opened(scene.assumptions, &mut disk));
    let ret = disk.number();
    steps.push(Step::Record(Change::PutDisk(Box::new(disk))));
    Ok(Plan::done(steps, Reply::Ret(ret)))
}

fn missing(name: &str) -> Trap {
    Trap::refused(format!("missing value(s) of argument(s) {name} (/disk/add; line 1)"))
}

/// The row that the arguments describe, and the row that it was copied from.
fn configured<'s>(
    scene: &Scene<'s>,
    arguments: &[(String, String)],
) -> Result<(Disk, Option<&'s Disk>), Trap> {
    let of = |wanted: &str| arguments.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let source = match of("copy-from") {
        Some(target) => Some(scene.device.disk(target).ok_or(Trap::NoSuchItem)?),
        None => None,
    };
    let kind = of("type").map(String::as_str).or(source.map(|disk| disk.kind.as_str()));
    let kind = kind.ok_or_else(|| missing("type"))?;
    let mut disk = source.map_or_else(|| Disk::new(0, kind), inherited);
    for (name, value) in arguments.iter().filter(|(name, _)| name != "copy-from") {
        assign(scene, &mut disk, name, value)?;
    }
    Ok((disk, source))
}

fn inherited(source: &Disk) -> Disk {
    Disk { live: None, identity: NamespaceIdentity::fresh(), ..source.clone() }
}

/// Makes or adopts the file that the disk is mounted from.
fn image(scene: &Scene<'_>, disk: &mut Disk, sized: bool) -> Result<Vec<Step>, Trap> {
    match scene.device.file_at(&disk.file_path) {
        Some(file) if file.directory => Err(Trap::refused("failure: not a file")),
        // Without a size there is nothing to create: the file is mounted as it is (S [CLI], I).
        Some(file) if !sized => {
            disk.file_size = file.size;
            Ok(Vec::new())
        }
        Some(file) => existing(scene, disk, file),
        None if disk.file_size == 0 => Err(missing("file-size")),
        None => {
            let mut steps = scene.directories_of(&disk.file_path)?;
            steps.extend(created(scene, disk, None, &steps)?);
            Ok(steps)
        }
    }
}

fn existing(scene: &Scene<'_>, disk: &mut Disk, file: &File) -> Result<Vec<Step>, Trap> {
    match scene.assumptions.existing_file {
        ExistingFile::Refused => Err(Trap::refused("failure: file already exists")),
        ExistingFile::Truncated => created(scene, disk, Some(file), &[]),
        ExistingFile::Adopted if disk.file_size <= file.size => {
            disk.file_size = file.size;
            Ok(Vec::new())
        }
        ExistingFile::Adopted => {
            let before = Disk { file_size: file.size, ..disk.clone() };
            super::resized(scene, &before, disk)
        }
    }
}

fn created(scene: &Scene<'_>, disk: &Disk, file: Option<&File>, after: &[Step]) -> Result<Vec<Step>, Trap> {
    let preallocate = preallocates(scene);
    scene.room(&disk.file_path, if preallocate { disk.file_size } else { 0 })?;
    let (path, size) = (disk.file_path.clone(), disk.file_size);
    let mut row = scene.new_file(after, &path, false, size);
    row.id = file.map_or(row.id, |file| file.id);
    Ok(vec![Step::Do(Effect::CreateImage { path, size, preallocate }), Step::Record(Change::PutFile(row))])
}

/// The bytes of the source, where the `copy-from` assumption copies them too.
fn copied(scene: &Scene<'_>, source: &Disk, disk: &Disk) -> Vec<Step> {
    if scene.assumptions.copy_from != CopyFrom::Data || source.kind != "file" {
        return Vec::new();
    }
    let (from, path, size) = (source.file_path.clone(), disk.file_path.clone(), disk.file_size);
    vec![
        Step::Do(Effect::CopyFile { from, to: path.clone(), reflink: true }),
        Step::Do(Effect::ResizeImage { path, size, preallocate: false }),
    ]
}
