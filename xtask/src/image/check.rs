//! Runs what the image is for, in its own files, read-only, before anybody else does.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Source;
use super::builder::Container;
use crate::process::{output, run};

/// The user of the Containerfile and of the controller's pod.
const NOBODY: &str = "65532:65532";
/// The user of the node's pod.
const ROOT: &str = "0:0";

/// Enters the files $1 as user $2 and runs the rest there. Nothing can be written but /tmp, which is empty; /proc and /sys
/// are this machine's, as in a container.
const ENTER: &str = r#"
files=$1 user=$2; shift 2
mount --bind "$files" "$files"
mount --options remount,bind,ro "$files"
mount --types tmpfs tmpfs "$files/tmp"
chmod 1777 "$files/tmp"
mount --rbind /proc "$files/proc"
mount --rbind /sys "$files/sys"
exec chroot --userspec="$user" "$files" "$@"
"#;

/// Each program that a node starts, doing what it is started for (host/src/helper/filesystem.rs), and the two that people
/// need when things went wrong. xfs_growfs wants a mount: that it can be loaded is what can be seen here.
const FILE_SYSTEMS: &str = "
cd /tmp
truncate -s 64M ext4
mke2fs -q -t ext4 -b 4096 -m 0 -E nodiscard ext4
truncate -s 128M ext4
resize2fs ext4 2>&1
e2fsck -f -n ext4
truncate -s 300M xfs
mkfs.xfs -q -K xfs
xfs_repair -n xfs 2>&1
xfs_growfs -V
";

/// That it says of itself what its users rely on, and what it is of.
pub(super) fn configuration(said: &Value, source: &Source) -> Result<()> {
    let label = |name: &str| &said["Labels"][format!("org.opencontainers.image.{name}")];
    for (what, is, wanted) in [
        ("its user", &said["User"], json!(NOBODY)),
        ("its entrypoint", &said["Entrypoint"], json!(["/usr/bin/rds-csi"])),
        ("its version", label("version"), json!(source.version)),
        ("its commit", label("revision"), json!(source.revision)),
        ("its licences", label("licenses"), json!("Apache-2.0")),
    ] {
        ensure!(*is == wanted, "the image says of {what} {is}, not {wanted}");
    }
    Ok(())
}

/// A controller whose device is down: it starts, serves and stops all the same. The address is loopback's port 1.
const CONTROLLER: &str = "
cd /tmp
umask 077
echo user > user
echo password > password
exec rds-csi controller --endpoint /tmp/csi.sock --metrics-address 127.0.0.1:0 --kubernetes off --cluster-id check \
    --address https://127.0.0.1:1 --tls-insecure --user-file user --password-file password \
    --base-path /pool/csi --nvme-address 127.0.0.1
";

/// A node that waits for its kubelet. The kubelet's directory is all that it writes to.
const NODE: &str = "
mkdir /tmp/kubelet
exec rds-csi node --endpoint /tmp/csi.sock --metrics-address 127.0.0.1:0 --kubernetes off --node-name check \
    --kubelet-dir /tmp/kubelet --registration-socket /tmp/kubelet/check-reg.sock
";

/// Fails if anything is missing that either role needs.
pub(super) fn image(container: &Container<'_>) -> Result<()> {
    let files = container.files()?;
    let version = output(&mut entered(&files, NOBODY, &["/usr/bin/rds-csi", "--version"]))?;
    ensure!(version == concat!("rds-csi ", env!("CARGO_PKG_VERSION")), "the image has {version}");
    output(&mut shell(&files, ROOT, FILE_SYSTEMS)).context("make and check file systems in the image")?;
    let wrote = run(shell(&files, NOBODY, "touch /x").stderr(Stdio::null()));
    ensure!(wrote.is_err(), "the check is worth nothing: the image can be written to");
    serves(shell(&files, NOBODY, CONTROLLER), "serving CSI").context("the controller in the image")?;
    serves(shell(&files, ROOT, NODE), "waiting for the kubelet").context("the node in the image")?;
    let notices = said(container, &["head", "--lines=1", "/usr/share/doc/rds-csi/copyright"])?;
    ensure!(notices.starts_with("==== "), "the image has no notices but {notices:?}");
    println!("checked, read-only: {version}, file systems made and grown, controller as nobody, node");
    Ok(())
}

/// What a program of the image says.
pub(super) fn said(container: &Container<'_>, words: &[&str]) -> Result<String> {
    output(&mut entered(&container.files()?, NOBODY, words))
}

/// A command in the image's files, in a mount namespace of its own.
fn entered(files: &Path, user: &str, words: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", ENTER, "enter"]);
    command.arg(files).arg(user).args(words).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

fn shell(files: &Path, user: &str, script: &str) -> Command {
    entered(files, user, &["sh", "-euc", script])
}

/// Starts a role, waits until it says so, and ends it as a kubelet would.
fn serves(mut command: Command, said: &str) -> Result<()> {
    let mut child = command.stderr(Stdio::piped()).spawn().context("start unshare")?;
    let mut log = BufReader::new(child.stderr.take().context("a piped stream")?).lines();
    let heard = hear(&mut log, said);
    // unshare, sh, chroot and sh have become rds-csi: one process, no children.
    let asked = run(Command::new("kill").args(["-TERM", &child.id().to_string()]));
    // To its end: a log that nobody reads is one that cannot be written.
    log.for_each(drop);
    let ended = child.wait().context("wait for rds-csi")?;
    heard?;
    asked?;
    ensure!(ended.success(), "it was asked to stop and ended with {ended}");
    Ok(())
}

/// Reads the log to the line with `said`.
fn hear(log: &mut impl Iterator<Item = std::io::Result<String>>, said: &str) -> Result<()> {
    let mut heard = Vec::new();
    for line in log {
        let line = line.context("read the log")?;
        if line.contains(said) {
            return Ok(());
        }
        heard.push(line);
    }
    bail!("it ended without {said:?}:\n{}", heard.join("\n"))
}
