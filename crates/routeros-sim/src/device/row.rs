//! Rows out of menus: which properties an item shows, and printing a list of items.

use super::disk::Disk;
use super::{Device, Facts};
use crate::assumptions::Assumptions;
use crate::menu::{Command, Reply, Row, Value};

/// What a property may look at beside its own item.
pub(crate) struct View<'a> {
    /// The whole device.
    pub(crate) device: &'a Device,
    /// The answers to open questions.
    pub(crate) assumptions: &'a Assumptions,
    /// What only the outside world knows.
    pub(crate) facts: &'a dyn Facts,
    /// Whether passwords are shown.
    pub(crate) sensitive: bool,
    /// Whether disks show their counters.
    pub(crate) counters: bool,
}

impl View<'_> {
    /// Free bytes of a pool.
    pub(crate) fn free(&self, disk: &Disk) -> u64 {
        disk.pool.as_ref().map_or(0, |pool| self.facts.free(&disk.slot, pool.size))
    }
}

/// A property: its name, and its text where the item has it.
pub(crate) struct Property<T> {
    pub(crate) name: &'static str,
    pub(crate) get: fn(&T, &View<'_>) -> Option<Value>,
}

impl<T> Property<T> {
    pub(crate) const fn new(name: &'static str, get: fn(&T, &View<'_>) -> Option<Value>) -> Self {
        Self { name, get }
    }
}

pub(crate) fn text(value: &str) -> Option<Value> {
    Some(Value::Owned(value.to_owned()))
}

pub(crate) fn truth(value: bool) -> Option<Value> {
    Some(Value::Borrowed(if value { "true" } else { "false" }))
}

/// Every property of one item.
pub(crate) fn row<T>(item: &T, properties: &'static [Property<T>], view: &View<'_>) -> Row {
    shown(item, properties.iter(), view)
}

fn shown<'p, T: 'p>(item: &T, which: impl Iterator<Item = &'p Property<T>>, view: &View<'_>) -> Row {
    which.filter_map(|property| Some((property.name, (property.get)(item, view)?))).collect()
}

/// The rows of `items` that the command's query and proplist ask for.
pub(crate) fn print<'i, T: 'i>(
    items: impl Iterator<Item = &'i T>,
    properties: &'static [Property<T>],
    command: &Command,
    view: &View<'_>,
) -> Reply {
    print_both(items, [properties, &[]], command, view)
}

/// As [`print`], of items whose properties stand in two tables.
pub(crate) fn print_both<'i, T: 'i>(
    items: impl Iterator<Item = &'i T>,
    tables: [&'static [Property<T>]; 2],
    command: &Command,
    view: &View<'_>,
) -> Reply {
    let properties = || tables.into_iter().flatten();
    let matching = items.filter(|item| {
        command.query.matches(|name| {
            let property = properties().find(|property| property.name == name)?;
            (property.get)(item, view)
        })
    });
    if command.count_only {
        return Reply::Ret(matching.count().to_string());
    }
    let wanted: Vec<&Property<T>> = match &command.proplist {
        None => properties().collect(),
        Some(names) => properties().filter(|p| names.iter().any(|name| name == p.name)).collect(),
    };
    Reply::Rows(matching.map(|item| shown(item, wanted.iter().copied(), view)).collect())
}
