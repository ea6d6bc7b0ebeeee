//! Loop devices, by the system's losetup.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Loop devices of the kernel.
pub trait LoopDevices: Send + Sync + 'static {
    /// A block device with direct I/O and blocks of 512 bytes, as the RDS has them, over a file from `offset`.
    ///
    /// # Errors
    /// The kernel's.
    fn attach(&self, file: &Path, offset: u64, discard: bool) -> io::Result<String>;
    /// Takes a device away once nothing uses it; one that is gone is taken away.
    ///
    /// # Errors
    /// The kernel's.
    fn detach(&self, device: &str) -> io::Result<()>;
    /// Lets a device see that its file has grown.
    ///
    /// # Errors
    /// The kernel's.
    fn refresh(&self, device: &str) -> io::Result<()>;
    /// Every device with its file.
    ///
    /// # Errors
    /// They cannot be listed.
    fn attached(&self) -> io::Result<Vec<(String, PathBuf)>>;
}

/// What losetup says of a device that has no file any more: one that was still in use when it was detached goes by itself, a
/// moment after it was listed.
const GONE: &str = "No such device or address";

/// losetup: its ioctls need unsafe code, which this project forbids.
#[derive(Debug)]
pub struct Losetup;

impl Losetup {
    #[expect(clippy::disallowed_methods, reason = "losetup: the simulator has no helpers")]
    fn run(arguments: &[&str], file: Option<&Path>) -> io::Result<String> {
        let mut command = Command::new("losetup");
        command.args(arguments).args(file).env("LC_ALL", "C");
        let output = command.output()?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }
}

impl LoopDevices for Losetup {
    fn attach(&self, file: &Path, offset: u64, discard: bool) -> io::Result<String> {
        let offset = offset.to_string();
        let arguments =
            ["--find", "--show", "--direct-io=on", "--sector-size", "512", "--offset", offset.as_str()];
        let device = Self::run(&arguments, Some(file))?;
        if !discard {
            let name = device.trim_start_matches("/dev/");
            fs::write(format!("/sys/block/{name}/queue/discard_max_bytes"), "0")?;
        }
        Ok(device)
    }

    fn detach(&self, device: &str) -> io::Result<()> {
        detached(Self::run(&["--detach", device], None))
    }

    fn refresh(&self, device: &str) -> io::Result<()> {
        Self::run(&["--set-capacity", device], None).map(drop)
    }

    fn attached(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let devices = fs::read_dir("/sys/block")?.flatten().filter_map(|entry| {
            let file = fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
            Some((format!("/dev/{}", entry.file_name().to_string_lossy()), PathBuf::from(file.trim_end())))
        });
        Ok(devices.collect())
    }
}

/// What a detach came to.
fn detached(said: io::Result<String>) -> io::Result<()> {
    match said {
        Err(error) if error.to_string().ends_with(GONE) => Ok(()),
        said => said.map(drop),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_device_that_went_by_itself_is_detached_and_another_error_is_one() {
        let said = |words: &str| detached(Err(io::Error::other(words.to_owned())));
        // Seen on 6.12, of a device that the target had let go between its listing and this.
        said("losetup: /dev/loop0: detach failed: No such device or address").unwrap();
        said("losetup: /dev/loop-none: failed to use device: No such device").unwrap_err();
        detached(Ok(String::new())).unwrap();
    }
}
