//! Plans: what a command does to the outside world and what it then writes down, step by step.

use super::disk::Disk;
use super::file::File;
use super::user::{Group, User};
use crate::assumptions::{Growth, Unexport};
use crate::menu::{Reply, Trap};
use crate::plane::Export;

/// What a command will do. Steps are applied in order; where an effect fails, the changes before it stay.
#[derive(Debug)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// What is answered when every step was done; a trap with steps is a set that was applied in part.
    pub outcome: Result<Reply, Trap>,
}

/// One step of a plan.
#[derive(Debug)]
pub enum Step {
    /// Something outside of the configuration.
    Do(Effect),
    /// Something written down.
    Record(Change),
}

/// Something done to files or to the data plane; paths are as `/file` names them.
#[derive(Debug)]
pub enum Effect {
    /// Makes one directory.
    MakeDirectory {
        /// Where.
        path: String,
    },
    /// Writes a small file.
    WriteFile {
        /// Where.
        path: String,
        /// What.
        contents: String,
    },
    /// Makes a zeroed image, in place of any file there.
    CreateImage {
        /// Where.
        path: String,
        /// Bytes.
        size: u64,
        /// Whether its room is taken now.
        preallocate: bool,
    },
    /// Grows or cuts an image.
    ResizeImage {
        /// Where.
        path: String,
        /// Bytes.
        size: u64,
        /// Whether its room is taken now.
        preallocate: bool,
    },
    /// Copies a file.
    CopyFile {
        /// Source.
        from: String,
        /// Target, replaced if there.
        to: String,
        /// Whether blocks are shared where the file system can.
        reflink: bool,
    },
    /// Removes a file or an empty directory.
    RemoveFile {
        /// Where.
        path: String,
    },
    /// Sets a disk's counters to zero.
    ResetCounters {
        /// Its id.
        disk: u32,
    },
    /// Serves a disk to hosts.
    Export(Export),
    /// Ends serving it.
    Unexport {
        /// What is served.
        export: Export,
        /// How its sessions end.
        how: Unexport,
    },
    /// Changes which hosts may connect.
    AllowHosts {
        /// As it is to be.
        export: Export,
        /// Whether those left out are disconnected.
        end_sessions: bool,
    },
    /// Lets hosts see a grown image.
    Grow {
        /// As it is to be.
        export: Export,
        /// How they learn of it.
        how: Growth,
    },
}

/// A change of the configuration or of the file list, small enough to be one line of the journal.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub enum Change {
    /// A disk as it is now.
    PutDisk(Box<Disk>),
    /// A disk that is gone.
    RemoveDisk(u32),
    /// A file as it is now.
    PutFile(File),
    /// A file that is gone.
    RemoveFile(u32),
    /// A user as it is now.
    PutUser(User),
    /// A user that is gone.
    RemoveUser(u32),
    /// A group as it is now.
    PutGroup(Group),
    /// A group that is gone.
    RemoveGroup(u32),
    /// The device's name.
    Identity(String),
    /// Seconds that the device's clock is ahead of the host's.
    ClockOffset(i64),
}

impl Plan {
    /// A plan that ends well.
    pub fn done(steps: Vec<Step>, reply: Reply) -> Self {
        Self { steps, outcome: Ok(reply) }
    }

    /// A plan of nothing but an answer.
    pub fn answer(reply: Reply) -> Self {
        Self::done(Vec::new(), reply)
    }
}
