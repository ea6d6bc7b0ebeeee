//! The image's bill of materials: SPDX 2.3 as JSON, of the crates that are linked into the binary and the image's Debian
//! packages.

mod crates;
mod document;

pub(super) use crates::{Crate, crates};
pub(super) use document::document;
