//! The edge between the typed client and the wire: five verbs, so that SSH is only a second implementation.

use std::future::Future;
use std::sync::Arc;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::identifier::ItemId;
use crate::row::Row;

/// A RouterOS menu, as its path without the leading slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Menu(&'static str);

impl Menu {
    /// `/disk`
    pub const DISK: Self = Self("disk");
    /// `/file`
    pub const FILE: Self = Self("file");
    /// `/user`
    pub const USER: Self = Self("user");
    /// `/user/group`
    pub const USER_GROUP: Self = Self("user/group");
    /// `/system/clock`
    pub const SYSTEM_CLOCK: Self = Self("system/clock");
    /// `/system/health`
    pub const SYSTEM_HEALTH: Self = Self("system/health");
    /// `/system/identity`
    pub const SYSTEM_IDENTITY: Self = Self("system/identity");
    /// `/system/package`
    pub const SYSTEM_PACKAGE: Self = Self("system/package");
    /// `/system/resource`
    pub const SYSTEM_RESOURCE: Self = Self("system/resource");

    /// A menu of another name. It is part of the program, never of its input, hence `'static`.
    #[must_use]
    pub const fn new(path: &'static str) -> Self {
        Self(path)
    }

    /// The path without the leading slash, such as `system/resource`.
    #[must_use]
    pub fn path(self) -> &'static str {
        self.0
    }
}

/// Properties to write or arguments to give, in the order in which they are sent.
pub type Properties = Vec<(&'static str, String)>;

/// What takes rows one by one while an answer is still arriving. An error ends the call.
pub type RowSink<'a> = dyn FnMut(Row) -> Result<(), Error> + Send + 'a;

/// One request to the device.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// Reads the rows whose properties equal all of `query`; `proplist` (all if empty) says which to give.
    Print {
        /// Where.
        menu: Menu,
        /// Property and exact value, all of which must match.
        query: &'a [(&'a str, &'a str)],
        /// The properties wanted; all of them if empty. `.id` always comes along.
        proplist: &'a [&'a str],
    },
    /// Adds a row; the reply is the whole new row.
    Add {
        /// Where.
        menu: Menu,
        /// Its properties.
        properties: &'a [(&'static str, String)],
    },
    /// Changes a row; the reply is the whole row as it is now.
    Set {
        /// Where.
        menu: Menu,
        /// Which.
        id: &'a ItemId,
        /// What to change.
        properties: &'a [(&'static str, String)],
    },
    /// Removes a row; the reply is empty.
    Remove {
        /// Where.
        menu: Menu,
        /// Which.
        id: &'a ItemId,
    },
    /// Any other command of a menu.
    Command {
        /// Where.
        menu: Menu,
        /// Its name, such as `monitor-traffic`.
        command: &'static str,
        /// Its arguments.
        arguments: &'a [(&'static str, String)],
        /// Whether it changes nothing, so that its failure is never an unknown outcome.
        reads_only: bool,
    },
}

impl Call<'_> {
    /// Whether the call changes nothing on the device.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Print { .. } | Self::Command { reads_only: true, .. })
    }

    /// The menu that the call is about.
    #[must_use]
    pub fn menu(&self) -> Menu {
        match *self {
            Self::Print { menu, .. }
            | Self::Add { menu, .. }
            | Self::Set { menu, .. }
            | Self::Remove { menu, .. }
            | Self::Command { menu, .. } => menu,
        }
    }

    /// The verb and menu for logs and errors, such as `set /disk *2B`; never a value.
    #[must_use]
    pub fn summary(&self) -> String {
        let menu = self.menu().path();
        match self {
            Self::Print { .. } => format!("print /{menu}"),
            Self::Add { .. } => format!("add /{menu}"),
            Self::Set { id, .. } => format!("set /{menu} {id}"),
            Self::Remove { id, .. } => format!("remove /{menu} {id}"),
            Self::Command { command, .. } => format!("/{menu}/{command}"),
        }
    }
}

/// The rows of an answer. A write's answer is the one row that was written, or none if the device gave none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The rows, in the device's order.
    pub rows: Vec<Row>,
}

impl Reply {
    /// The only row, `None` if there is no row.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if there are more.
    pub fn at_most_one(self) -> Result<Option<Row>, Error> {
        let mut rows = self.rows.into_iter();
        match (rows.next(), rows.next()) {
            (row, None) => Ok(row),
            (_, Some(_)) => Err(Error::new(ErrorKind::Malformed, "one row was asked for and several came")),
        }
    }

    /// The only row.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if there is none or there are more.
    pub fn one(self) -> Result<Row, Error> {
        self.at_most_one()?
            .ok_or_else(|| Error::new(ErrorKind::Malformed, "one row was asked for and none came"))
    }
}

/// A way to a device. Dropping a returned future aborts the request's connection.
pub trait Transport: Send + Sync {
    /// Carries out one request. At `deadline` its connection is aborted and the call fails.
    fn call(&self, call: Call<'_>, deadline: Instant) -> impl Future<Output = Result<Reply, Error>> + Send;

    /// Carries out a `Print`, giving each row to `each` as it arrives, so that a long list is never held whole.
    ///
    /// Unless a transport can stream, this is [`Transport::call`] and a loop.
    fn print_each(
        &self,
        call: Call<'_>,
        deadline: Instant,
        each: &mut RowSink<'_>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        async move { self.call(call, deadline).await?.rows.into_iter().try_for_each(each) }
    }
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn call(&self, call: Call<'_>, deadline: Instant) -> impl Future<Output = Result<Reply, Error>> + Send {
        (**self).call(call, deadline)
    }

    fn print_each(
        &self,
        call: Call<'_>,
        deadline: Instant,
        each: &mut RowSink<'_>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        (**self).print_each(call, deadline, each)
    }
}
