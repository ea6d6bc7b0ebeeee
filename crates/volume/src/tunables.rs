//! What a StorageClass may tune of a connection.

/// Tunables of an NVMe/TCP connection, as `/dev/nvme-fabrics` takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunables {
    /// Seconds for which a lost controller is tried again before its I/O fails; -1 for ever.
    /// Finite by default: with -1 and a dead target everything that touches the mount hangs for ever.
    pub ctrl_loss_tmo: i32,
    /// Seconds between two tries.
    pub reconnect_delay: u32,
    /// Seconds without an answer after which a connection counts as lost.
    pub keep_alive_tmo: u32,
    /// I/O queues; `None` is the smaller of the CPUs and 8 (node.md rule 14).
    pub nr_io_queues: Option<u32>,
    /// Seconds after which I/O fails while the controller is still tried; `None` is off, since it
    /// turns a short outage into a dead file system.
    pub fast_io_fail_tmo: Option<u32>,
}

impl Default for Tunables {
    fn default() -> Self {
        Self {
            ctrl_loss_tmo: 1800,
            reconnect_delay: 5,
            keep_alive_tmo: 5,
            nr_io_queues: None,
            fast_io_fail_tmo: None,
        }
    }
}
