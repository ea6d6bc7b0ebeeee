//! A RouterOS client: typed rows, print, add, set, remove and command over one transport trait.
//!
//! [`Client`] is what callers use: it speaks in disks, files and packages. Below it stands a [`Transport`]
//! that knows five verbs; [`RestTransport`] is the one over HTTPS. Nothing here knows CSI or Kubernetes.
//!
//! Every failure is an [`Error`]: what kind it is, whether the same request may succeed later, and above all
//! its [`Outcome`], that is whether the device *may have acted*. A write with [`Outcome::Unknown`] must be
//! settled by [`Client::resolve`] before anything else is written to that row.

mod address;
mod client;
mod connect;
mod credentials;
mod disk;
mod error;
mod file;
mod identifier;
mod rest;
mod row;
mod span;
mod system;
mod transport;
mod user;
mod version;

pub use address::{Address, PlainHttp};
pub use client::probe::{Finding, ProbeReport, Severity};
pub use client::resolve::{Resolution, Write};
pub use client::{Client, DEFAULT_DEADLINE, REQUEST_CAP};
pub use connect::tls::{Fingerprint, Trust};
pub use connect::{ConnectError, Connector, Io};
pub use credentials::Credentials;
pub use disk::change::{DiskChange, NewDisk, NvmeTcpExport};
pub use disk::figures::{DiskCounters, DiskFigures};
pub use disk::{DISK_PROPERTIES, DiskRow};
pub use error::{Error, ErrorKind, Outcome};
pub use file::{FileRow, normalised_path};
pub use identifier::ItemId;
pub use rest::{RestConfig, RestTransport};
pub use row::Row;
pub use system::{Clock, HealthRow, Package, Resource};
pub use transport::{Call, Menu, Properties, Reply, RowSink, Transport};
pub use user::Policies;
pub use version::{RouterOsVersion, Stage};
