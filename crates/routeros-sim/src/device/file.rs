//! `/file`: names without a leading slash, ids of the form `**a1`.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::plan::{Change, Effect, Plan, Step};
use super::row::{Property, text};
use super::{Device, Scene};
use crate::assumptions::{FileCopy, RemoveUsedFile};
use crate::menu::{Command, Reply, Trap, Value, Verb};
use crate::version::Version;

/// A file or directory of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Printed as `**a1`.
    pub id: u32,
    /// Its name: the path below the root, without a leading slash.
    pub path: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970, by the device's clock.
    pub modified: i64,
}

/// A path as `/file` names it; `None` where it is empty or not a plain one.
pub(crate) fn normal(path: &str) -> Option<&str> {
    let path = path.trim_matches('/');
    let plain = |name: &str| !matches!(name, "" | "." | "..") && !name.chars().any(char::is_control);
    path.split('/').all(plain).then_some(path)
}

impl File {
    /// `**a1`
    pub fn number(&self) -> String {
        format!("**{:x}", self.id)
    }

    fn kind(&self) -> Value {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        match name.rsplit_once('.') {
            _ if self.directory => Value::Borrowed("directory"),
            Some((_, extension)) => Value::Owned(format!(".{extension} file")),
            None => Value::Borrowed("file"),
        }
    }
}

/// What `/file` shows; `last-modified` was `creation-time` before 7.16.
pub(crate) static PROPERTIES: &[Property<File>] = &[
    Property::new(".id", |f, _| Some(Value::Owned(f.number()))),
    Property::new("creation-time", |f, v| {
        (v.device.version < Version::seven(16)).then(|| Value::Owned(Timestamp(f.modified).to_string()))
    }),
    Property::new("last-modified", |f, v| {
        (v.device.version >= Version::seven(16)).then(|| Value::Owned(Timestamp(f.modified).to_string()))
    }),
    Property::new("name", |f, _| text(&f.path)),
    Property::new("size", |f, _| (!f.directory).then(|| Value::Owned(f.size.to_string()))),
    Property::new("type", |f, _| Some(f.kind())),
];

/// Plans a command on `/file`.
pub(crate) fn plan(scene: &Scene<'_>, command: &Command) -> Result<Plan, Trap> {
    match &command.verb {
        Verb::Add => add(scene, command),
        Verb::Remove => remove(scene, command),
        Verb::Other(name) if name == "copy" && copies(scene) => copy(scene, command),
        _ => Err(Trap::NoSuchCommand),
    }
}

fn copies(scene: &Scene<'_>) -> bool {
    scene.device.version >= Version::seven(23) && scene.assumptions.file_copy != FileCopy::Absent
}

fn argument<'c>(command: &'c Command, name: &str) -> Option<&'c str> {
    command.arguments.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

fn required<'c>(command: &'c Command, name: &str) -> Result<&'c str, Trap> {
    argument(command, name).ok_or_else(|| {
        Trap::refused(format!("missing value(s) of argument(s) {name} (/file/{:?})", command.verb))
    })
}

fn add(scene: &Scene<'_>, command: &Command) -> Result<Plan, Trap> {
    for (name, _) in &command.arguments {
        let known = matches!(name.as_str(), "name" | "contents")
            || (name == "type" && scene.device.version >= Version::seven(15));
        if !known {
            return Err(Trap::unknown_parameter(name));
        }
    }
    let path = normal(required(command, "name")?).ok_or_else(|| Trap::invalid_value("name"))?;
    let directory = match argument(command, "type").unwrap_or("file") {
        "directory" => true,
        "file" => false,
        _ => return Err(Trap::no_match("type")),
    };
    if scene.device.file_at(path).is_some() {
        return Err(Trap::refused("failure: file already exists"));
    }
    let contents = argument(command, "contents").unwrap_or_default();
    let mut steps = scene.directories_of(path)?;
    steps.push(Step::Do(match directory {
        true => Effect::MakeDirectory { path: path.to_owned() },
        false => Effect::WriteFile { path: path.to_owned(), contents: contents.to_owned() },
    }));
    let file = scene.new_file(&steps, path, directory, contents.len() as u64);
    let ret = file.number();
    steps.push(Step::Record(Change::PutFile(file)));
    Ok(Plan::done(steps, Reply::Ret(ret)))
}

fn remove(scene: &Scene<'_>, command: &Command) -> Result<Plan, Trap> {
    let mut steps = Vec::new();
    for target in &command.targets {
        let file = scene.device.file(target).ok_or(Trap::NoSuchItem)?;
        let used = scene.device.disks.values().any(|disk| disk.kind == "file" && disk.file_path == file.path);
        if used && scene.assumptions.remove_used_file == RemoveUsedFile::Refused {
            return Err(Trap::refused("failure: file is in use"));
        }
        if file.directory && scene.device.has_files_below(&file.path) {
            return Err(Trap::refused("failure: directory is not empty"));
        }
        steps.push(Step::Do(Effect::RemoveFile { path: file.path.clone() }));
        steps.push(Step::Record(Change::RemoveFile(file.id)));
    }
    Ok(Plan::done(steps, Reply::Done))
}

/// `copy-from` names the source as 7.23's inspect tree has it; the target is `name`.
fn copy(scene: &Scene<'_>, command: &Command) -> Result<Plan, Trap> {
    let source = command.targets.first().map(String::as_str).or_else(|| argument(command, "copy-from"));
    let source = source.and_then(|path| scene.device.file(path)).ok_or(Trap::NoSuchItem)?;
    let path = normal(required(command, "name")?).ok_or_else(|| Trap::invalid_value("name"))?;
    if source.directory || scene.device.file_at(path).is_some() {
        return Err(Trap::refused("failure: file already exists"));
    }
    let reflink = scene.assumptions.file_copy == FileCopy::Reflink;
    if !reflink {
        scene.room(path, source.size)?;
    }
    let mut steps = scene.directories_of(path)?;
    steps.push(Step::Do(Effect::CopyFile { from: source.path.clone(), to: path.to_owned(), reflink }));
    steps.push(Step::Record(Change::PutFile(scene.new_file(&steps, path, false, source.size))));
    Ok(Plan::done(steps, Reply::Done))
}

impl Device {
    /// The file with this id or name.
    pub fn file(&self, target: &str) -> Option<&File> {
        match target.strip_prefix("**") {
            Some(id) => u32::from_str_radix(id, 16).ok().and_then(|id| self.files.get(&id)),
            None => self.file_at(normal(target)?),
        }
    }

    /// The file at `path`, as [`normal`] has it.
    pub(crate) fn file_at(&self, path: &str) -> Option<&File> {
        self.paths.get(path).and_then(|id| self.files.get(id))
    }

    fn has_files_below(&self, directory: &str) -> bool {
        let below = format!("{directory}/");
        self.paths.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below))
    }
}
