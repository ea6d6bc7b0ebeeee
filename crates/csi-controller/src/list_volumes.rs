//! ListVolumes: this cluster's volumes in the order of their slots, page by page, each page one streamed list.
//!
//! It fails whole if the device cannot be read, a holder not be named, or the PVs are not known yet, which alone tell
//! whose a damaged or unmarked disk is: the attacher takes what is missing for detached.

use std::collections::BTreeMap;

use csi_grpc::v1::list_volumes_response::{Entry, VolumeStatus};
use csi_grpc::v1::{ListVolumesRequest, ListVolumesResponse, Volume as WireVolume};
use routeros::{DiskRow, Transport};
use tokio::time::Instant;
use tonic::Status;
use volume::Slot;

use crate::observe::{Found, classify};
use crate::published::{Attached, Published, unnamed};
use crate::{Controller, device_error, parse};

/// What a token begins with: a page begins after the slot that follows.
const TOKEN_PREFIX: &str = "after:";

/// Entries of one answer at most, whatever is asked for. One of the longest names takes 270 bytes, so this many stay
/// below the 4 MiB that Go's gRPC clients take.
const LARGEST_PAGE: usize = 10_000;

/// A page under construction: the first slots after a given one, and whether there are more.
struct Page {
    after: Option<Slot>,
    max: usize,
    volumes: BTreeMap<Slot, Listed>,
    has_more: bool,
}

/// A volume of the page.
struct Listed {
    /// Bytes.
    size: u64,
    published: Published,
}

pub(crate) async fn list_volumes<T: Transport>(
    controller: &Controller<T>,
    request: &ListVolumesRequest,
    deadline: Instant,
) -> Result<ListVolumesResponse, Status> {
    let mut page = Page::parse(request)?;
    controller.check_synced()?;
    let client = controller.client.until(deadline);
    let read = client.for_each_disk(|row| {
        if let Some((slot, listed)) = controller.listed(row) {
            page.take(slot, listed);
        }
        Ok(())
    });
    read.await.map_err(|error| device_error::status("listing volumes", &error))?;
    // After the rows were read: who is named there had its VolumeAttachment before.
    let attached = if page.is_unclear() { controller.attached(deadline).await? } else { None };
    page.response(attached.as_ref())
}

impl<T: Transport> Controller<T> {
    /// The entry of a disk that is a volume of this cluster.
    fn listed(&self, row: DiskRow) -> Option<(Slot, Listed)> {
        let slot = Slot::parse(&row.slot).ok()?;
        let size = row.file_size.or(row.size).unwrap_or_default();
        let found = classify(&slot, Some(row), &self.config);
        let is_ours = match &found {
            Found::Ours(_) => true,
            Found::NotOurs(why) => self.is_named_here(&slot, why),
            Found::Nothing => false,
        };
        is_ours.then(|| (slot, Listed { size, published: Published::of(&found) }))
    }
}

impl Page {
    fn parse(request: &ListVolumesRequest) -> Result<Self, Status> {
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
        Ok(Self { after, max, volumes: BTreeMap::new(), has_more: false })
    }

    fn take(&mut self, slot: Slot, listed: Listed) {
        if self.after.as_ref().is_some_and(|after| slot <= *after) {
            return;
        }
        self.volumes.insert(slot, listed);
        if self.volumes.len() > self.max {
            self.volumes.pop_last();
            self.has_more = true;
        }
    }

    fn is_unclear(&self) -> bool {
        self.volumes.values().any(|listed| listed.published.is_unclear())
    }

    fn response(self, attached: Option<&Attached>) -> Result<ListVolumesResponse, Status> {
        let last = self.volumes.last_key_value().map(|(slot, _)| format!("{TOKEN_PREFIX}{slot}"));
        let next_token = last.filter(|_| self.has_more).unwrap_or_default();
        let entries = self.volumes.iter().map(|(slot, listed)| listed.entry(slot, attached));
        Ok(ListVolumesResponse { entries: entries.collect::<Result<_, _>>()?, next_token })
    }
}

impl Listed {
    fn entry(&self, slot: &Slot, attached: Option<&Attached>) -> Result<Entry, Status> {
        let ids = self.published.ids(slot, attached);
        let published_node_ids = ids.map_err(|holder| unnamed(slot, &holder))?;
        Ok(Entry {
            volume: Some(WireVolume {
                capacity_bytes: parse::wire_bytes(self.size),
                volume_id: slot.to_string(),
                ..WireVolume::default()
            }),
            status: Some(VolumeStatus { published_node_ids, volume_condition: None }),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use prost::Message as _;

    use super::*;

    fn page(max_entries: i32) -> Page {
        let request = ListVolumesRequest { max_entries, starting_token: String::new() };
        Page::parse(&request).unwrap()
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
