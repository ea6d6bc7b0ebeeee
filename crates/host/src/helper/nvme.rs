//! The writes to the kernel's NVMe host, in a helper.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use crate::fabrics::option;
use crate::op::Output;
use crate::protocol::Roots;
use crate::{Error, ErrorKind, Result, Subsystem, sysfs};

use super::uevent::Uevents;

/// A head follows its controller within tenths of a second; none comes at all where its UUID is there
/// already (node.md K1), and then the caller shall hear of it soon.
const HEAD: Duration = Duration::from_secs(3);
/// A rescan that finds nothing new is silent.
const CHANGE: Duration = Duration::from_secs(2);
/// Deleting took 7.4 s with the link cut (node.md K5).
const DELETION: Duration = Duration::from_secs(60);

pub(super) fn connect(roots: &Roots, options: &str) -> Result<Output> {
    let nqn = option(options, "nqn").unwrap_or_default();
    let fabrics = roots.fabrics();
    if let Some(problem) = sysfs::lacks_multipath(&roots.sys).filter(|_| fabrics.exists()) {
        return Err(Error::new(ErrorKind::Refused(None), problem));
    }
    let uevents = Uevents::listen()?;
    write_options(&fabrics, options).map_err(|error| explain(roots, nqn, &error))?;
    let has_head = || {
        Ok(sysfs::subsystems_of(&roots.sys, nqn)?.iter().any(|subsystem| !subsystem.namespaces.is_empty()))
    };
    // Connected without a head is for the caller to see and name.
    uevents.wait(HEAD, has_head)?;
    Ok(Output::Done)
}

/// One write, and the kernel's `instance=…` read from the same descriptor: closed before that, a
/// connection would be in doubt.
fn write_options(fabrics: &Path, options: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(fabrics)?;
    file.write_all(options.as_bytes())?;
    let mut answer = [0; 128];
    let length = file.read(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..length]);
    if answer.starts_with("instance=") {
        Ok(())
    } else {
        Err(io::Error::other(format!("answered {answer:?}")))
    }
}

/// What is to be done where the kernel has no transport.
const NO_MODULE: &str = ": the nvme_tcp module is not loaded; load it on the node at boot (modprobe nvme_tcp, or a file in \
                         /etc/modules-load.d)";

/// The kernel says little (node.md K11); what is known of each errno goes with it.
fn explain(roots: &Roots, nqn: &str, error: &io::Error) -> Error {
    let meaning = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => NO_MODULE,
        // A transport that is not known is refused as an option that is not (Linux, nvmf_create_ctrl).
        Some(Errno::INVAL) if !roots.sys.join("module/nvme_tcp").exists() => NO_MODULE,
        Some(Errno::IO) => ": the target refused, or ended the connection",
        Some(Errno::CONNREFUSED) => ": nothing listens at the target's port",
        Some(Errno::INVAL) => ": an option is not taken, or this host id is in use under another host NQN",
        Some(Errno::ALREADY) => ": it is connected already",
        _ => "",
    };
    let mut named = Error::io("connect through", &roots.fabrics(), error);
    named.message = format!("{} for {nqn}{meaning}", named.message);
    named
}

pub(super) fn rescan(roots: &Roots, controller: &str) -> Result<Output> {
    let named = |subsystem: &Subsystem| subsystem.controllers.iter().any(|other| other.name == controller);
    let namespaces = || {
        let subsystems = sysfs::subsystems(&roots.sys)?;
        Ok(subsystems.into_iter().find(|subsystem| named(subsystem)).map(|subsystem| subsystem.namespaces))
    };
    let before = namespaces()?;
    if before.is_none() {
        return Err(Error::new(ErrorKind::Missing, format!("there is no controller {controller}")));
    }
    let uevents = Uevents::listen()?;
    command(roots, controller, "rescan_controller")?;
    uevents.wait(CHANGE, || Ok(namespaces()? != before))?;
    Ok(Output::Done)
}

fn command(roots: &Roots, controller: &str, attribute: &str) -> Result<()> {
    let path = roots.sys.join("class/nvme").join(controller).join(attribute);
    std::fs::write(&path, "1").map_err(|error| Error::io("write", &path, &error))
}

fn controllers(roots: &Roots, nqn: &str) -> Result<Vec<String>> {
    let controllers =
        sysfs::subsystems_of(&roots.sys, nqn)?.into_iter().flat_map(|subsystem| subsystem.controllers);
    Ok(controllers.map(|controller| controller.name).collect())
}

/// Deletes a controller of this NQN. Its name may be another's at any moment, so what is compared and what
/// is written to are opened in one and the same directory, which never becomes another controller's.
fn delete(roots: &Roots, controller: &str, nqn: &str) -> Result<()> {
    let path = roots.sys.join("class/nvme").join(controller);
    let failed = |what: &'static str| {
        let path = path.clone();
        move |error: io::Error| Error::io(what, &path, &error)
    };
    let directory = File::open(&path).map_err(failed("open"))?;
    let attribute = |name: &str, flags: OFlags| {
        let opened = openat(&directory, name, flags | OFlags::CLOEXEC, Mode::empty());
        opened.map(File::from).map_err(io::Error::from)
    };
    let mut delete =
        attribute("delete_controller", OFlags::WRONLY).map_err(failed("open delete_controller of"))?;
    let mut shown = String::new();
    let read = attribute("subsysnqn", OFlags::RDONLY).and_then(|mut file| file.read_to_string(&mut shown));
    read.map_err(failed("read subsysnqn of"))?;
    if shown.trim_end() != nqn {
        let message =
            format!("{} is a controller of {} by now, not of {nqn}", path.display(), shown.trim_end());
        return Err(Error::new(ErrorKind::Missing, message));
    }
    delete.write_all(b"1").map_err(failed("delete"))
}

pub(super) fn disconnect(roots: &Roots, nqn: &str) -> Result<Output> {
    let uevents = Uevents::listen()?;
    let (mut asked, mut failed) = (Vec::new(), None);
    // Listed anew for each: deleting takes seconds, and names are used again.
    while let Some(controller) = controllers(roots, nqn)?.into_iter().find(|name| !asked.contains(name)) {
        // One that goes by itself meanwhile is as good; what is still there is seen below.
        failed = delete(roots, &controller, nqn).err().or(failed);
        asked.push(controller);
    }
    let gone = || {
        Ok(sysfs::subsystems_of(&roots.sys, nqn)?.iter().all(|subsystem| subsystem.controllers.is_empty()))
    };
    if uevents.wait(DELETION, gone)? {
        return Ok(Output::Done);
    }
    let message = format!("controllers of {nqn} are still there after {} s", DELETION.as_secs());
    Err(failed.unwrap_or_else(|| Error::new(ErrorKind::Busy, message)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_controller_whose_name_went_to_another_subsystem_is_not_deleted() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots { sys: root.path().join("sys"), dev: root.path().join("dev"), cgroup: None };
        let controller = roots.sys.join("class/nvme/nvme3");
        std::fs::create_dir_all(&controller).unwrap();
        std::fs::write(controller.join("subsysnqn"), "nqn.test:b\n").unwrap();
        let attribute = controller.join("delete_controller");
        std::fs::write(&attribute, "").unwrap();
        assert_eq!(delete(&roots, "nvme3", "nqn.test:a").unwrap_err().kind, ErrorKind::Missing);
        assert_eq!(std::fs::read(&attribute).unwrap(), b"");
        delete(&roots, "nvme3", "nqn.test:b").unwrap();
        assert_eq!(std::fs::read(&attribute).unwrap(), b"1");
    }
}
