//! ListVolumes: this cluster's volumes in the order of their slots, page by page, each page one streamed list.
//!
//! It fails whole if the device cannot be read: the attacher takes what is missing for detached.

use std::collections::BTreeMap;

use csi_grpc::v1::list_volumes_response::{Entry, VolumeStatus};
use csi_grpc::v1::{ListVolumesRequest, ListVolumesResponse, Volume as WireVolume};
use routeros::{DiskRow, Transport};
use tokio::time::Instant;
use tonic::Status;
use volume::{ClusterHash, Slot};

use crate::observe::{Found, NotOurs, classify};
use crate::{Controller, device_error, parse};

/// What a token begins with: a page begins after the slot that follows.
const TOKEN_PREFIX: &str = "after:";

/// Entries of one answer at most, whatever is asked for. One of the longest names takes 270 bytes, so this many stay
/// below the 4 MiB that Go's gRPC clients take.
const LARGEST_PAGE: usize = 10_000;

/// A page under construction: the first slots after a given one, and whether there are more.
struct Page {
    cluster: ClusterHash,
    after: Option<Slot>,
    max: usize,
    entries: BTreeMap<Slot, Entry>,
    has_more: bool,
}

pub(crate) async fn list_volumes<T: Transport>(
    controller: &Controller<T>,
    request: &ListVolumesRequest,
    deadline: Instant,
) -> Result<ListVolumesResponse, Status> {
    let mut page = Page::parse(request, controller.config.cluster_id.hash())?;
    let client = controller.client.until(deadline);
    let read = client.for_each_disk(|row| {
        page.take(row);
        Ok(())
    });
    read.await.map_err(|error| device_error::status("listing volumes", &error))?;
    Ok(page.response())
}

impl Page {
    fn parse(request: &ListVolumesRequest, cluster: ClusterHash) -> Result<Self, Status> {
        let max = usize::try_from(request.max_entries)
            .map_err(|_| Status::invalid_argument("max_entries must not be negative"))?;
        let after = match request.starting_token.as_str() {
            "" => None,
            token => {
                let slot = token.strip_prefix(TOKEN_PREFIX).and_then(|slot| Slot::parse(slot).ok());
                let wrong =
                    || Status::aborted("starting_token is none of this driver's: start the list anew");
                Some(slot.ok_or_else(wrong)?)
            }
        };
        let max = if max == 0 { LARGEST_PAGE } else { max.min(LARGEST_PAGE) };
        Ok(Self { cluster, after, max, entries: BTreeMap::new(), has_more: false })
    }

    fn take(&mut self, row: DiskRow) {
        let Ok(slot) = Slot::parse(&row.slot) else { return };
        if self.after.as_ref().is_some_and(|after| slot <= *after) {
            return;
        }
        let Some(entry) = self.entry(&slot, row) else { return };
        self.entries.insert(slot, entry);
        if self.entries.len() > self.max {
            self.entries.pop_last();
            self.has_more = true;
        }
    }

    /// The entry of a disk of this cluster. A damaged record still says by its slot whose it is; nobody knows who
    /// holds it, but absent it would count as deleted.
    fn entry(&self, slot: &Slot, row: DiskRow) -> Option<Entry> {
        let size = row.file_size.or(row.size).unwrap_or_default();
        let published_node_ids = match classify(slot, Some(row), self.cluster) {
            Found::Ours(volume) => volume.published_node_ids(),
            Found::NotOurs(NotOurs::Unreadable(_)) if slot.cluster() == Some(self.cluster) => Vec::new(),
            _ => return None,
        };
        Some(Entry {
            volume: Some(WireVolume {
                capacity_bytes: parse::wire_bytes(size),
                volume_id: slot.to_string(),
                ..WireVolume::default()
            }),
            status: Some(VolumeStatus { published_node_ids, volume_condition: None }),
        })
    }

    fn response(self) -> ListVolumesResponse {
        let last = self.entries.last_key_value().map(|(slot, _)| format!("{TOKEN_PREFIX}{slot}"));
        let next_token = last.filter(|_| self.has_more).unwrap_or_default();
        ListVolumesResponse { entries: self.entries.into_values().collect(), next_token }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use prost::Message as _;

    use super::*;

    fn page(max_entries: i32) -> Page {
        let request = ListVolumesRequest { max_entries, starting_token: String::new() };
        Page::parse(&request, ClusterHash::parse("0123abcd").unwrap()).unwrap()
    }

    #[test]
    fn the_largest_page_of_the_longest_names_is_a_message_that_clients_take() {
        let volume =
            WireVolume { capacity_bytes: i64::MAX, volume_id: "v".repeat(40), ..WireVolume::default() };
        // A record has 200 bytes for all of its holders' names.
        let published_node_ids = vec![format!("rds:{}", "n".repeat(100)); 2];
        let status = VolumeStatus { published_node_ids, volume_condition: None };
        let entry = Entry { volume: Some(volume), status: Some(status) };
        for asked in [0, i32::MAX] {
            let entries = vec![entry.clone(); page(asked).max];
            let answer = ListVolumesResponse { entries, next_token: "t".repeat(64) };
            assert!(answer.encoded_len() <= csi_server::MAX_MESSAGE_BYTES, "{}", answer.encoded_len());
        }
        assert_eq!(page(3).max, 3);
    }
}
