//! `/user` and `/user/group`: who may do what.

use serde::{Deserialize, Serialize};

use super::Device;
use super::plan::{Change, Plan, Step};
use super::row::{Property, text, truth};
use crate::menu::{Command, Menu, Reply, Trap, Value, Verb};

/// Every policy, in the order that RouterOS prints them.
pub const POLICIES: &[&str] = &[
    "local",
    "telnet",
    "ssh",
    "ftp",
    "reboot",
    "read",
    "write",
    "policy",
    "test",
    "winbox",
    "password",
    "web",
    "sniff",
    "sensitive",
    "api",
    "romon",
    "rest-api",
];

/// A login.
#[derive(Clone, Serialize, Deserialize)]
pub struct User {
    /// Printed as `*1`.
    pub id: u32,
    /// Login name.
    pub name: String,
    /// Name of its group.
    pub group: String,
    /// Never shown.
    pub password: String,
    /// Addresses it may come from, as set; empty means any.
    pub address: String,
    /// Whether it cannot log in.
    pub disabled: bool,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "User({} in {})", self.name, self.group)
    }
}

/// A set of policies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// Printed as `*1`.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Those of [`POLICIES`] that it has.
    pub policies: Vec<String>,
}

/// Somebody who has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Login name.
    pub user: String,
    /// What it may do.
    pub policies: Vec<String>,
}

impl Caller {
    /// Whether it has a policy.
    pub fn has(&self, policy: &str) -> bool {
        self.policies.iter().any(|each| each == policy)
    }

    /// Whether it may run a command.
    ///
    /// # Errors
    /// `not enough permissions (9)`
    pub fn may(&self, command: &Command) -> Result<(), Trap> {
        let needed = match (command.menu, &command.verb) {
            (_, Verb::Print) => "read",
            (_, Verb::Other(name)) if name == "monitor-traffic" => "test",
            (_, Verb::Other(name)) if name == "reboot" => "reboot",
            (Menu::User | Menu::Group, _) => "policy",
            _ => "write",
        };
        if self.has(needed) { Ok(()) } else { Err(Trap::NotEnoughPermissions) }
    }
}

/// The groups that every device has.
pub(super) fn default_groups() -> Vec<Group> {
    let all_but = |without: &[&str]| -> Vec<String> {
        POLICIES.iter().filter(|policy| !without.contains(policy)).map(|&policy| policy.to_owned()).collect()
    };
    let group = |id, name: &str, policies| Group { id, name: name.to_owned(), policies };
    vec![
        group(1, "read", all_but(&["ftp", "write", "policy"])),
        group(2, "write", all_but(&["ftp", "policy"])),
        group(3, "full", all_but(&[])),
    ]
}

pub(super) static USER_PROPERTIES: &[Property<User>] = &[
    Property::new(".id", |u, _| Some(Value::Owned(format!("*{:X}", u.id)))),
    Property::new("address", |u, _| text(&u.address)),
    Property::new("disabled", |u, _| truth(u.disabled)),
    Property::new("expired", |_, _| truth(false)),
    Property::new("group", |u, _| text(&u.group)),
    Property::new("name", |u, _| text(&u.name)),
];

pub(super) static GROUP_PROPERTIES: &[Property<Group>] = &[
    Property::new(".id", |g, _| Some(Value::Owned(format!("*{:X}", g.id)))),
    Property::new("name", |g, _| text(&g.name)),
    Property::new("policy", |g, _| Some(Value::Owned(policy_text(&g.policies)))),
    Property::new("skin", |_, _| text("default")),
];

/// `read,write,!ftp`: what a group has, then what it lacks.
fn policy_text(policies: &[String]) -> String {
    let has = |policy: &&&str| policies.iter().any(|each| each == **policy);
    let lacks = POLICIES.iter().filter(|policy| !has(policy)).map(|policy| format!("!{policy}"));
    POLICIES.iter().filter(has).map(|&policy| policy.to_owned()).chain(lacks).collect::<Vec<_>>().join(",")
}

/// The policies of `read,write,!ftp`.
///
/// # Errors
/// A policy that is none.
pub(crate) fn policies(text: &str) -> Result<Vec<String>, Trap> {
    let named = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    for name in named.clone() {
        if !POLICIES.contains(&name.trim_start_matches('!')) {
            return Err(Trap::no_match("policy"));
        }
    }
    Ok(named.filter(|name| !name.starts_with('!')).map(str::to_owned).collect())
}

/// Plans a command on `/user` or `/user/group`.
pub(super) fn plan(device: &Device, command: &Command) -> Result<Plan, Trap> {
    let changes = match (&command.verb, command.menu) {
        (Verb::Add, Menu::User) => vec![Change::PutUser(edit_user(blank_user(device), command)?)],
        (Verb::Add, _) => vec![Change::PutGroup(edit_group(blank_group(device), command)?)],
        (Verb::Set, Menu::User) => each(device, command, |device, target| {
            Ok(Change::PutUser(edit_user(device.user(target).ok_or(Trap::NoSuchItem)?.clone(), command)?))
        })?,
        (Verb::Set, _) => each(device, command, |device, target| {
            Ok(Change::PutGroup(edit_group(device.group(target).ok_or(Trap::NoSuchItem)?.clone(), command)?))
        })?,
        (Verb::Remove, Menu::User) => each(device, command, |device, target| {
            Ok(Change::RemoveUser(device.user(target).ok_or(Trap::NoSuchItem)?.id))
        })?,
        (Verb::Remove, _) => each(device, command, |device, target| {
            Ok(Change::RemoveGroup(device.group(target).ok_or(Trap::NoSuchItem)?.id))
        })?,
        _ => return Err(Trap::NoSuchCommand),
    };
    let reply = match command.verb {
        Verb::Add => Reply::Ret(format!("*{:X}", device.next_id())),
        _ => Reply::Done,
    };
    Ok(Plan::done(changes.into_iter().map(Step::Record).collect(), reply))
}

fn each(
    device: &Device,
    command: &Command,
    change: impl Fn(&Device, &str) -> Result<Change, Trap>,
) -> Result<Vec<Change>, Trap> {
    command.targets.iter().map(|target| change(device, target)).collect()
}

fn blank_user(device: &Device) -> User {
    User {
        id: device.next_id(),
        name: String::new(),
        group: String::new(),
        password: String::new(),
        address: String::new(),
        disabled: false,
    }
}

fn blank_group(device: &Device) -> Group {
    Group { id: device.next_id(), name: String::new(), policies: Vec::new() }
}

fn edit_user(mut user: User, command: &Command) -> Result<User, Trap> {
    for (name, value) in &command.arguments {
        match name.as_str() {
            "name" => value.clone_into(&mut user.name),
            "group" => value.clone_into(&mut user.group),
            "password" => value.clone_into(&mut user.password),
            "address" => value.clone_into(&mut user.address),
            "disabled" => {
                user.disabled =
                    super::disk::argument::flag(value).ok_or_else(|| Trap::no_match("disabled"))?;
            }
            _ => return Err(Trap::unknown_parameter(name)),
        }
    }
    if user.name.is_empty() { Err(Trap::refused("missing value(s) of argument(s) name")) } else { Ok(user) }
}

fn edit_group(mut group: Group, command: &Command) -> Result<Group, Trap> {
    for (name, value) in &command.arguments {
        match name.as_str() {
            "name" => value.clone_into(&mut group.name),
            "policy" => group.policies = policies(value)?,
            _ => return Err(Trap::unknown_parameter(name)),
        }
    }
    if group.name.is_empty() { Err(Trap::refused("missing value(s) of argument(s) name")) } else { Ok(group) }
}

impl Device {
    /// The user with this id or name.
    pub fn user(&self, target: &str) -> Option<&User> {
        self.users.values().find(|user| user.name == target || format!("*{:X}", user.id) == target)
    }

    /// The group with this id or name.
    pub fn group(&self, target: &str) -> Option<&Group> {
        self.groups.values().find(|group| group.name == target || format!("*{:X}", group.id) == target)
    }

    /// Who logs in with these words; `None` for wrong ones and for a disabled user.
    pub fn login(&self, name: &str, password: &str) -> Option<Caller> {
        let user = self.users.values().find(|user| user.name == name)?;
        let group = self.group(&user.group)?;
        let right = user.password == password && !user.disabled;
        right.then(|| Caller { user: user.name.clone(), policies: group.policies.clone() })
    }
}
