//! The menu model: what every mouth (REST, later the console) asks of the device, and what it answers.

pub mod query;

use std::borrow::Cow;

use query::Query;

/// The menus that this device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Menu {
    /// `/disk`
    Disk,
    /// `/file`
    File,
    /// `/system/identity`
    Identity,
    /// `/system/resource`
    Resource,
    /// `/system/package`
    Package,
    /// `/system/clock`
    Clock,
    /// `/system/health`
    Health,
    /// `/user`
    User,
    /// `/user/group`
    Group,
}

impl Menu {
    /// Every menu with its path.
    pub const ALL: &'static [(&'static [&'static str], Menu)] = &[
        (&["disk"], Menu::Disk),
        (&["file"], Menu::File),
        (&["system", "identity"], Menu::Identity),
        (&["system", "resource"], Menu::Resource),
        (&["system", "package"], Menu::Package),
        (&["system", "clock"], Menu::Clock),
        (&["system", "health"], Menu::Health),
        (&["user"], Menu::User),
        (&["user", "group"], Menu::Group),
    ];

    /// Whether the menu is one object rather than a list.
    pub fn is_singleton(self) -> bool {
        matches!(self, Menu::Identity | Menu::Resource | Menu::Clock)
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// List rows.
    Print,
    /// Make a row.
    Add,
    /// Change rows.
    Set,
    /// Drop rows.
    Remove,
    /// A command of the menu by its name, such as `monitor-traffic`.
    Other(String),
}

/// One command on one menu.
#[derive(Debug, Clone)]
pub struct Command {
    /// Where.
    pub menu: Menu,
    /// What.
    pub verb: Verb,
    /// Ids (`*2B`) or names of the rows meant by set, remove and the like.
    pub targets: Vec<String>,
    /// Arguments in the order they were given; the order matters where a set is not all-or-nothing.
    pub arguments: Vec<(String, String)>,
    /// Which rows print shows.
    pub query: Query,
    /// Which properties print shows; all when `None`.
    pub proplist: Option<Vec<String>>,
    /// Whether print answers with the number of rows only.
    pub count_only: bool,
}

impl Command {
    /// A command without targets, arguments or filters.
    pub fn new(menu: Menu, verb: Verb) -> Self {
        Self {
            menu,
            verb,
            targets: Vec::new(),
            arguments: Vec::new(),
            query: Query::default(),
            proplist: None,
            count_only: false,
        }
    }
}

/// The text of a property; most are constants.
pub type Value = Cow<'static, str>;

/// The properties that a row shows, in printing order.
pub type Row = Vec<(&'static str, Value)>;

/// What a command answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The rows of a print.
    Rows(Vec<Row>),
    /// The id of what was made, or a count.
    Ret(String),
    /// Nothing to say.
    Done,
}

/// Why a command was refused; `Display` is the device's own text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trap {
    /// The row is not there.
    #[error("no such item")]
    NoSuchItem,
    /// The user's policies lack the one of this command.
    #[error("not enough permissions (9)")]
    NotEnoughPermissions,
    /// The menu has no such command.
    #[error("no such command")]
    NoSuchCommand,
    /// Refused with this text.
    #[error("{0}")]
    Refused(String),
}

impl Trap {
    /// A refusal with `text`.
    pub fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// An argument that the command does not have, in the words of API and REST.
    pub fn unknown_parameter(name: &str) -> Self {
        Self::Refused(format!("unknown parameter {name}"))
    }

    /// A value that an argument does not take.
    pub fn invalid_value(name: &str) -> Self {
        Self::Refused(format!("invalid value for argument {name}"))
    }

    /// A word that is none of an argument's.
    pub fn no_match(name: &str) -> Self {
        Self::Refused(format!("input does not match any value of {name}"))
    }

    /// A duplicate; the wording is known of address lists only.
    pub fn duplicate() -> Self {
        Self::refused("failure: already have such entry")
    }
}
