//! CreateVolume: at most three requests, the slot, the path and the add (design decisions 2, 3, 5, 16, 17).

use csi_grpc::v1::{CreateVolumeRequest, CreateVolumeResponse};
use routeros::{DiskChange, NewDisk, NvmeTcpExport, Outcome, Transport};
use tokio::time::Instant;
use tonic::Status;
use volume::{Fencing, MIB, Record, Slot};

use crate::Controller;
use crate::device_error;
use crate::observe::{Found, NotOurs, Volume};
use crate::writes::Sent;
use wanted::{Unwanted, Wanted};

mod take_back;
mod wanted;

/// What is to be done about a slot that is taken.
#[derive(Debug)]
enum Existing {
    /// It is the volume that is asked for.
    Same(u64),
    /// It is that volume, but a setting that could hurt its data is not as it should be.
    Mend(u64, DiskChange),
    /// It is another request's, or nobody knows whose.
    Refuse(Status),
}

pub(crate) async fn create_volume<T: Transport>(
    controller: &Controller<T>,
    request: &CreateVolumeRequest,
    deadline: Instant,
) -> Result<CreateVolumeResponse, Status> {
    let (slot, refused) = match Wanted::parse(request, &controller.config) {
        Ok(wanted) => return controller.create_wanted(&wanted, deadline).await,
        Err(Unwanted::Anywhere(status)) => return Err(status),
        Err(Unwanted::Here(slot, status)) => (slot, status),
    };
    csi_server::record_volume_id(slot.as_str());
    let _guard = controller.in_flight.try_start(slot.as_str(), "CreateVolume")?;
    Err(controller.refused_here(&slot, refused, deadline).await)
}

impl<T: Transport> Controller<T> {
    async fn create_wanted(
        &self,
        wanted: &Wanted,
        deadline: Instant,
    ) -> Result<CreateVolumeResponse, Status> {
        csi_server::record_volume_id(wanted.slot.as_str());
        let _guard = self.in_flight.try_start(wanted.slot.as_str(), "CreateVolume")?;
        let size = self.create(wanted, deadline).await?;
        Ok(CreateVolumeResponse { volume: Some(wanted.volume(size)) })
    }

    async fn create(&self, wanted: &Wanted, deadline: Instant) -> Result<u64, Status> {
        loop {
            match self.find(&wanted.slot, deadline).await? {
                Found::NotOurs(why) => return Err(self.foreign(wanted, &why)),
                // What is there may be removed by a write that still comes, and what is not may be added.
                _ if self.waited_for_doubt(&wanted.slot, deadline).await? => {}
                Found::Nothing => return self.add(wanted, deadline).await,
                Found::Ours(volume) => {
                    return match compare(wanted, &volume) {
                        Existing::Same(size) => Ok(size),
                        Existing::Refuse(status) => Err(status),
                        Existing::Mend(size, change) => {
                            self.mend(&volume, &change, deadline).await.map(|()| size)
                        }
                    };
                }
            }
        }
    }

    /// No disk was read in the slot. Final codes are allowed from here on, until the add is sent.
    async fn add(&self, wanted: &Wanted, deadline: Instant) -> Result<u64, Status> {
        let reservation = self.reserve(wanted.base.pool(), &wanted.slot, wanted.size, deadline).await?;
        self.require_no_file(wanted, deadline).await?;
        let disk = self.new_disk(wanted)?;
        let sending = self.writes.sending();
        match self.client.until(deadline).add_disk(&disk).await {
            Ok(row) => {
                reservation.keep();
                Ok(row.file_size.unwrap_or(wanted.size))
            }
            Err(error) => {
                match error.outcome() {
                    Outcome::NotApplied => {}
                    Outcome::Unknown => {
                        reservation.keep_in_doubt();
                        self.writes.doubt(&wanted.slot, sending, Sent::Add);
                    }
                    Outcome::Applied => {
                        reservation.keep();
                        return Err(self.take_back_add(wanted, &error, deadline).await);
                    }
                }
                Err(device_error::status(
                    &format!("making volume {} of {:?}", wanted.slot, wanted.name),
                    &error,
                ))
            }
        }
    }

    /// A file that is there already is somebody's: what the device would do with it is not known.
    async fn require_no_file(&self, wanted: &Wanted, deadline: Instant) -> Result<(), Status> {
        let path = wanted.path();
        let read = self.client.until(deadline).file_by_name(&path).await;
        match read.map_err(|error| device_error::status(&format!("reading file {path}"), &error))? {
            None => Ok(()),
            Some(_) => Err(Status::failed_precondition(format!(
                "volume {:?} would lie in {path}, where a file is already, although no disk has slot {}; \
                 a file is never adopted: look at it and remove it",
                wanted.name, wanted.slot
            ))),
        }
    }

    fn new_disk(&self, wanted: &Wanted) -> Result<NewDisk, Status> {
        let record = Record::new(self.config.cluster_id.hash());
        let always = (self.config.fencing == Fencing::Off).then(|| NvmeTcpExport {
            nqn: self.config.nqn_prefix.fixed(&wanted.slot).to_string(),
            port: wanted.address.port,
            allow_host_name: String::new(),
        });
        Ok(NewDisk {
            slot: wanted.slot.to_string(),
            file_path: wanted.path(),
            file_size: wanted.size,
            comment: record.to_comment().map_err(|error| Status::internal(error.to_string()))?,
            export: always,
        })
    }

    /// The volume is there: a final code would make the CO forget it, so that no error of this is one.
    async fn mend(&self, volume: &Volume, change: &DiskChange, deadline: Instant) -> Result<(), Status> {
        let doing = format!("setting up volume {}", volume.slot);
        let set = self.set(volume, change, deadline).await;
        set.map(drop).map_err(|error| Status::unavailable(device_error::status(&doing, &error).message()))
    }

    /// A request that this configuration refuses: final only if no earlier one, under another configuration, has
    /// made the volume, for the CO would forget it.
    async fn refused_here(&self, slot: &Slot, refused: Status, deadline: Instant) -> Status {
        loop {
            let found = match self.find(slot, deadline).await {
                Err(unread) => return unread,
                Ok(found) => found,
            };
            if !matches!(found, Found::Nothing | Found::NotOurs(NotOurs::OtherCluster(_))) {
                let text = format!("volume {slot} exists already, but this configuration refuses it");
                return Status::unavailable(format!("{text}: {}", refused.message()));
            }
            match self.waited_for_doubt(slot, deadline).await {
                Ok(true) => {}
                Ok(false) => return refused,
                Err(in_doubt) => return in_doubt,
            }
        }
    }

    /// Something is in the slot that this cluster and this name alone make. Another cluster's record says whose it
    /// is; else it may be what an earlier attempt left, so the code is one after which the CO goes on asking.
    fn foreign(&self, wanted: &Wanted, why: &NotOurs) -> Status {
        let text =
            format!("volume {:?}: {}", wanted.name, why.message(&wanted.slot, self.config.cluster_id.hash()));
        match why {
            NotOurs::OtherCluster(_) => Status::already_exists(text),
            _ => Status::unavailable(text),
        }
    }
}

/// A slot that is taken by a volume of this cluster (decision 3): size and place must match.
fn compare(wanted: &Wanted, volume: &Volume) -> Existing {
    let refuse = |text: String| {
        Existing::Refuse(Status::already_exists(format!("volume {:?} exists already, {text}", wanted.name)))
    };
    let Some(size) = volume.capacity() else {
        let text = format!("volume {} exists, but the device does not show its size", wanted.slot);
        return Existing::Refuse(Status::unavailable(text));
    };
    // A device may round up (assumption `file-size`), but by less than the unit of volumes.
    if !(wanted.size..wanted.size + MIB).contains(&size) || !wanted.range_admits(size) {
        return refuse(format!("with {size} bytes instead of {}", wanted.size));
    }
    if !volume.lies_below(&wanted.base) {
        let path = volume.row.file_path.as_deref().unwrap_or("no file");
        return refuse(format!("in {path} instead of {}", wanted.path()));
    }
    match (unsafe_settings(volume), volume.record.holders.is_empty()) {
        (Some(change), true) => Existing::Mend(size, change),
        _ => Existing::Same(size),
    }
}

/// Settings that let RouterOS itself use what a guest wrote: an add that was cut short may have left them.
fn unsafe_settings(volume: &Volume) -> Option<DiskChange> {
    let row = &volume.row;
    let safe =
        row.mount_filesystem == Some(false) && !(row.smb_sharing || row.nfs_sharing || row.media_sharing);
    (!safe).then(|| DiskChange {
        mount_filesystem: Some(false),
        smb_sharing: Some(false),
        nfs_sharing: Some(false),
        media_sharing: Some(false),
        ..DiskChange::default()
    })
}
