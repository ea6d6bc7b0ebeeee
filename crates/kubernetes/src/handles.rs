//! Which volumes PersistentVolumes name, asked live.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kube::Api;
use tokio::time::Instant;

use crate::ask::find;
use crate::claims::entry;
use crate::live::{LARGE_PAGE, list};
use crate::trimmed::PersistentVolume;
use crate::{ApiError, Live};

/// PVs read one by one at most: beyond, the whole list is less work for both sides. More than one or two are asked
/// for only while the watch has not delivered its list.
const FEW: usize = 10;

/// PV names and their handles.
pub(crate) type Handles = HashMap<String, Arc<str>>;

impl Live {
    /// The handles of all PVs of this driver.
    pub(crate) async fn handles(&self, deadline: Instant) -> Result<Handles, ApiError> {
        let api = Api::<PersistentVolume>::all(self.client.clone());
        let mut handles = Handles::new();
        let keep = |object| {
            handles.extend(entry(&object, &self.driver).map(|entry| (entry.name.to_string(), entry.handle)));
        };
        list(&api, "PersistentVolumes", LARGE_PAGE, deadline, keep).await?;
        Ok(handles)
    }

    /// The handles of these PVs at least, as far as they have one.
    pub(crate) async fn handles_of(
        &self,
        names: &BTreeSet<&str>,
        deadline: Instant,
    ) -> Result<Handles, ApiError> {
        if names.len() > FEW {
            return self.handles(deadline).await;
        }
        let mut handles = Handles::new();
        for name in names {
            let handle = self.handle(name, deadline).await?;
            handles.extend(handle.map(|handle| ((*name).to_owned(), handle)));
        }
        Ok(handles)
    }

    async fn handle(&self, name: &str, deadline: Instant) -> Result<Option<Arc<str>>, ApiError> {
        let api = Api::<PersistentVolume>::all(self.client.clone());
        let request = || format!("reading PersistentVolume {name}");
        let object = find(request, deadline, name, api.get(name)).await?;
        Ok(object.and_then(|object| entry(&object, &self.driver)).map(|entry| entry.handle))
    }
}
