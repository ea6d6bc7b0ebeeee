//! The API server, asked live; each kind of question has its own file.

use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use volume::NqnPrefix;

use crate::ApiError;
use crate::ask::ask;

/// Objects a page, of those that may be large, as Nodes and Pods: what kubectl asks for.
pub(crate) const PAGE: u32 = 500;

/// Objects a page of VolumeAttachments or PersistentVolumes, about 1.3 MB, of which a watch holds a few copies. A page
/// costs the API server 25 ms besides its objects: 10,000 VolumeAttachments take 0.94 s by pages of 500, 0.55 s by
/// these, 0.46 s by pages of 2,000 (kube-apiserver 1.36, two cores).
pub(crate) const LARGE_PAGE: u32 = 1000;

/// Live questions to the API server, from one driver.
#[derive(Clone)]
pub struct Live {
    pub(crate) client: Client,
    pub(crate) driver: String,
    pub(crate) prefix: NqnPrefix,
}

impl Live {
    /// `driver` is the CSI driver's name, as `spec.attacher` has it; `prefix` is that of the volumes' NQNs.
    #[must_use]
    pub fn new(client: Client, driver: impl Into<String>, prefix: NqnPrefix) -> Self {
        Self { client, driver: driver.into(), prefix }
    }
}

/// A whole LIST of the newest state, page by page: what a page holds is made small before the next one is asked
/// for, so memory is bounded by what `each` keeps.
///
/// # Errors
/// Also where the list expired between pages (410): a part of it would be no answer.
pub(crate) async fn list<K: Clone + Resource + DeserializeOwned>(
    api: &Api<K>,
    what: &str,
    page: u32,
    deadline: Instant,
    mut each: impl FnMut(K),
) -> Result<(), ApiError> {
    let mut params = ListParams::default().limit(page);
    let mut text = Vec::new();
    loop {
        let next = crate::page::page(api, &params, &mut text, &mut each);
        match ask(|| format!("listing {what}"), deadline, next).await? {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}
