//! A device put under one export on the RDS: its writes can be held, and it can fail while it stays where it is.

use std::time::Duration;

use scenarios::{Attached, System};

use super::wait_until;

/// What was held is written within seconds of its release, and then nothing has the device.
const RELEASE: Duration = Duration::from_secs(120);

/// Such a device. It is put under before anybody connects: a namespace is taken away for that moment.
pub(crate) struct Backing<'a> {
    system: &'a System,
    name: String,
    /// Its table while it is well.
    table: String,
}

impl<'a> Backing<'a> {
    /// Puts one of that name under the export of an attachment.
    pub(crate) fn put_under(system: &'a System, attached: &Attached, name: &str) -> Self {
        let namespace =
            format!("/sys/kernel/config/nvmet/subsystems/{}/namespaces/1", attached.context["nvme_nqn"]);
        let line = format!(
            "modprobe dm_delay; loop=$(cat {namespace}/device_path) && size=$(blockdev --getsz $loop) && \
             dmsetup create {name} --table \"0 $size delay $loop 0 0 $loop 0 0\" && echo 0 > {namespace}/enable && \
             echo -n /dev/mapper/{name} > {namespace}/device_path && echo 1 > {namespace}/enable && dmsetup table {name}"
        );
        let table = system.rds.guest.sh(&line).unwrap();
        Self { system, name: name.to_owned(), table }
    }

    /// From now on every write lands so much later than it came.
    pub(crate) fn hold_writes(&self, time: Duration) {
        let (paths, _) = self.table.rsplit_once(' ').unwrap();
        self.load(&format!("{paths} {}", time.as_millis()));
    }

    /// From now on every read and write fails.
    pub(crate) fn fail(&self) {
        let size = self.table.split(' ').nth(1).unwrap();
        self.load(&format!("0 {size} error"));
    }

    /// It is well again, with what it had.
    pub(crate) fn heal(&self) {
        self.load(&self.table);
    }

    /// Takes it away once the export is down.
    pub(crate) fn remove(self) {
        wait_until(&self.system.rds.guest, &format!("dmsetup remove {}", self.name), RELEASE);
    }

    /// Without a flush the writes that are held already are not waited for.
    fn load(&self, table: &str) {
        let name = &self.name;
        let line = format!(
            "dmsetup load {name} --table \"{table}\" && dmsetup suspend --nolockfs --noflush {name} && \
             dmsetup resume {name}"
        );
        self.system.rds.guest.sh(&line).unwrap();
    }
}
