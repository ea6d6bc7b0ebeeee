//! `/system` and the user's own policies.

use super::Client;
use crate::error::{Error, ErrorKind};
use crate::row::Row;
use crate::system::{Clock, HealthRow, Package, Resource};
use crate::transport::{Menu, Reply, Transport};
use crate::user::Policies;

impl<T: Transport> Client<T> {
    /// Version, model and uptime.
    ///
    /// # Errors
    /// The request's.
    pub async fn resource(&self) -> Result<Resource, Error> {
        let proplist = ["version", "board-name", "architecture-name", "uptime"];
        Resource::try_from(&self.single(Menu::SYSTEM_RESOURCE, &proplist).await?)
    }

    /// The packages that are installed or known.
    ///
    /// # Errors
    /// The request's.
    pub async fn packages(&self) -> Result<Vec<Package>, Error> {
        let proplist = ["name", "version", "disabled", "available"];
        let rows = self.print(Menu::SYSTEM_PACKAGE, &[], &proplist, self.deadline()).await?;
        rows.iter().map(Package::try_from).collect()
    }

    /// The sensors that the model has.
    ///
    /// # Errors
    /// The request's.
    pub async fn health(&self) -> Result<Vec<HealthRow>, Error> {
        let rows = self.print(Menu::SYSTEM_HEALTH, &[], &["name", "value", "type"], self.deadline()).await?;
        rows.iter().map(HealthRow::try_from).collect()
    }

    /// The device's clock.
    ///
    /// # Errors
    /// The request's.
    pub async fn clock(&self) -> Result<Clock, Error> {
        Clock::try_from(&self.single(Menu::SYSTEM_CLOCK, &["date", "time", "gmt-offset"]).await?)
    }

    /// What the group of `user`, by whose name this client logs in, may do.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if the user or its group is not listed.
    pub async fn own_policies(&self, user: &str) -> Result<Policies, Error> {
        let group = self.named(Menu::USER, user, "group").await?;
        Ok(Policies::parse(&self.named(Menu::USER_GROUP, &group, "policy").await?))
    }

    async fn single(&self, menu: Menu, proplist: &[&str]) -> Result<Row, Error> {
        Reply { rows: self.print(menu, &[], proplist, self.deadline()).await? }.one()
    }

    async fn named(&self, menu: Menu, name: &str, property: &str) -> Result<String, Error> {
        let rows = self.print(menu, &[("name", name)], &["name", property], self.deadline()).await?;
        let row = rows.first().ok_or_else(|| {
            Error::new(ErrorKind::Malformed, format!("/{} does not list {name:?}", menu.path()))
        })?;
        row.required(property).map(str::to_owned)
    }
}
