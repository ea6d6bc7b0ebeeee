//! Block devices, file systems and mounts of this machine's own kernel, on loop devices. Needs root.
#![allow(clippy::disallowed_methods, reason = "test support makes what is tested on")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use host::linux::{Config, Linux};
use host::{Block, Content, Device, ErrorKind, Filesystems, Mkfs, Mounts, Range, Volume};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;
use volume::{FsType, Slot};

const MIB: u64 = 1 << 20;

/// A loop device over a sparse file; both go with it, and so do the mounts below its directory.
struct Loop {
    root: TempDir,
    device: Device,
    linux: Linux,
    slot: Slot,
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn driver(root: &Path) -> Linux {
    let helper = env!("CARGO_BIN_EXE_host-test-helper").into();
    let config = Config::new(root.join("run")).unwrap();
    Linux::new(Config { helper, arguments: Vec::new(), ..config }).unwrap()
}

impl Loop {
    fn new(bytes: u64) -> Self {
        let root = tempfile::tempdir().unwrap();
        let image = root.path().join("image");
        File::create(&image).unwrap().set_len(bytes).unwrap();
        let path = PathBuf::from(run("losetup", &["--find", "--show", image.to_str().unwrap()]));
        let rdev = std::fs::metadata(&path).unwrap().rdev();
        let device = Device {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            major: rustix::fs::major(rdev),
            minor: rustix::fs::minor(rdev),
            nqn: None,
        };
        let linux = driver(root.path());
        Self { root, device, linux, slot: Slot::parse("vol").unwrap() }
    }

    fn volume(&self) -> Volume<'_> {
        Volume { slot: &self.slot, deadline: Instant::now() + Duration::from_secs(60) }
    }

    fn next_driver(&self) -> Linux {
        driver(self.root.path())
    }

    fn resize(&self, bytes: u64) {
        File::options().write(true).open(self.root.path().join("image")).unwrap().set_len(bytes).unwrap();
        run("losetup", &["--set-capacity", self.device.path().to_str().unwrap()]);
    }

    async fn directory(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        self.linux.make_dir(&path).await.unwrap();
        path
    }

    async fn is_free(&self) -> bool {
        self.linux.is_free(self.volume(), &self.device).await.unwrap()
    }

    async fn mkfs(&self, mkfs: &Mkfs) -> host::Result<()> {
        self.linux.mkfs(self.volume(), &self.device, mkfs).await
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let ours = |target: &&str| Path::new(target).starts_with(self.root.path());
        let targets: Vec<&str> =
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(ours).collect();
        for target in targets.into_iter().rev() {
            let _ = Command::new("umount").arg(target).status();
        }
        // One that its test has detached may be another test's by now.
        let backing = format!("/sys/block/{}/loop/backing_file", self.device.name);
        let backing = std::fs::read_to_string(backing).unwrap_or_default();
        if Path::new(backing.trim_end()).starts_with(self.root.path()) {
            let _ = Command::new("losetup").arg("--detach").arg(self.device.path()).output();
        }
    }
}

/// ext4 grows online for CAP_SYS_RESOURCE only (Linux, `ext4_resize_begin`); some build machines' root has
/// it not, and then the refusal is what is tested.
fn may_grow_ext4() -> bool {
    let capabilities = rustix::thread::capabilities(None).unwrap();
    capabilities.effective.contains(rustix::thread::CapabilitySet::SYS_RESOURCE)
}

fn mkfs(fs: FsType) -> Mkfs {
    Mkfs { fs, uuid: Uuid::from_u128(0x1234), bytes: None }
}

#[tokio::test]
async fn a_file_system_lives_its_life() {
    for fs in [FsType::Ext4, FsType::Xfs] {
        let bench = Loop::new(320 * MIB);
        let (linux, device) = (&bench.linux, &bench.device);
        bench.mkfs(&mkfs(fs)).await.unwrap();
        let staging = bench.directory("staging").await;
        linux.mount(bench.volume(), device, &staging, fs, &["noatime".into()]).await.unwrap();
        assert!(!bench.is_free().await, "O_EXCL sees the mount");
        std::fs::write(staging.join("file"), b"bytes").unwrap();
        linux.sync(bench.volume(), &staging).await.unwrap();

        let target = bench.directory("target").await;
        linux.bind(bench.volume(), &staging, &target, true).await.unwrap();
        assert_eq!(std::fs::read(target.join("file")).unwrap(), b"bytes");
        assert!(std::fs::write(target.join("other"), b"").is_err(), "read-only");
        std::fs::write(staging.join("other"), b"").unwrap();
        let mounts = linux.mounts().await.unwrap();
        let bound = mounts.iter().find(|mount| mount.target == target).unwrap();
        assert_eq!((bound.major, bound.minor, bound.fs.as_str()), (device.major, device.minor, fs.name()));
        assert!(["ro", "noatime"].iter().all(|option| bound.options.iter().any(|other| other == option)));

        let before = linux.usage(bench.volume(), &staging).await.unwrap();
        bench.resize(640 * MIB);
        let grows = fs == FsType::Xfs || may_grow_ext4();
        for _ in 0..2 {
            assert_eq!(linux.grow(bench.volume(), device, &staging, fs).await.is_ok(), grows);
        }
        let after = linux.usage(bench.volume(), &staging).await.unwrap();
        assert_eq!(after.total_bytes > before.total_bytes + 256 * MIB, grows, "{before:?} {after:?}");

        for path in [&target, &staging, &staging] {
            linux.unmount(bench.volume(), path).await.unwrap();
        }
        assert!(bench.is_free().await);
        linux.remove_empty(&target).await.unwrap();
        assert!(bench.mkfs(&mkfs(fs)).await.is_err(), "{fs} is not made over a file system");
        linux.mount(bench.volume(), device, &staging, fs, &["ro".into()]).await.unwrap();
        assert_eq!(std::fs::read(staging.join("file")).unwrap(), b"bytes");
        linux.sync(bench.volume(), &staging).await.unwrap();
    }
}

#[tokio::test]
async fn a_device_in_use_is_neither_formatted_nor_unmounted_by_force() {
    let bench = Loop::new(64 * MIB);
    bench.mkfs(&mkfs(FsType::Ext4)).await.unwrap();
    let staging = bench.directory("staging").await;
    bench.linux.mount(bench.volume(), &bench.device, &staging, FsType::Ext4, &[]).await.unwrap();
    bench.mkfs(&mkfs(FsType::Ext4)).await.unwrap_err();
    let open = File::create(staging.join("open")).unwrap();
    let busy = bench.linux.unmount(bench.volume(), &staging).await.unwrap_err();
    assert_eq!(busy.kind, ErrorKind::Busy, "{busy}");
    drop(open);
    bench.linux.unmount(bench.volume(), &staging).await.unwrap();
}

#[tokio::test]
async fn a_scan_finds_the_first_data_and_a_write_is_read_back() {
    let bench = Loop::new(16 * MIB);
    let all = [Range { offset: 0, length: 16 * MIB }];
    let scan = async || bench.linux.scan(bench.volume(), &bench.device, &all).await.unwrap();
    assert_eq!(scan().await, Content::Zero);
    let marker: Vec<u8> = (0..4096_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let at = 16 * MIB - 4096;
    bench.linux.write(bench.volume(), &bench.device, at, &marker).await.unwrap();
    assert_eq!(scan().await, Content::Data(at));
    let range = Range { offset: at, length: 4096 };
    assert_eq!(bench.linux.read(bench.volume(), &bench.device, range).await.unwrap(), marker);
    for past in [Range { offset: 16 * MIB, length: 4096 }, Range { offset: at, length: 8192 }] {
        bench.linux.read(bench.volume(), &bench.device, past).await.unwrap_err();
        bench.linux.scan(bench.volume(), &bench.device, &[past]).await.unwrap_err();
    }
    bench.linux.write(bench.volume(), &bench.device, 0, &[0; 100]).await.unwrap_err();
}

#[tokio::test]
async fn a_device_of_another_number_is_refused_by_everything() {
    let bench = Loop::new(64 * MIB);
    let other = Device { minor: bench.device.minor + 4096, ..bench.device.clone() };
    let staging = bench.directory("staging").await;
    let (linux, volume) = (&bench.linux, bench.volume());
    let range = Range { offset: 0, length: 4096 };
    let answers = [
        linux.read(volume, &other, range).await.map(drop),
        linux.scan(volume, &other, &[range]).await.map(drop),
        linux.write(volume, &other, 0, &[1; 4096]).await,
        linux.flush(volume, &other).await,
        linux.hold(volume, &other, &staging).await,
        linux.mkfs(volume, &other, &mkfs(FsType::Ext4)).await,
        linux.mount(volume, &other, &staging, FsType::Ext4, &[]).await,
    ];
    assert!(
        answers.iter().all(|answer| answer.as_ref().is_err_and(|e| e.kind == ErrorKind::Missing)),
        "{answers:?}"
    );
    assert!(linux.is_free(volume, &other).await.unwrap(), "a number that no device has is free");
    let content = linux.scan(volume, &bench.device, &[Range { offset: 0, length: 64 * MIB }]).await;
    assert_eq!(content.unwrap(), Content::Zero);
}

#[tokio::test]
async fn mke2fs_stays_below_what_it_is_given() {
    let bench = Loop::new(64 * MIB);
    let marker = vec![7; 4096];
    bench.linux.write(bench.volume(), &bench.device, 64 * MIB - 4096, &marker).await.unwrap();
    bench.mkfs(&Mkfs { bytes: Some(63 * MIB), ..mkfs(FsType::Ext4) }).await.unwrap();
    let range = Range { offset: 64 * MIB - 4096, length: 4096 };
    assert_eq!(bench.linux.read(bench.volume(), &bench.device, range).await.unwrap(), marker);
    let first =
        bench.linux.read(bench.volume(), &bench.device, Range { offset: 0, length: 4096 }).await.unwrap();
    assert_eq!(first[1024 + 0x68..1024 + 0x78], *Uuid::from_u128(0x1234).as_bytes());
    let blocks = u32::from_le_bytes(first[1028..1032].try_into().unwrap());
    assert_eq!(u64::from(blocks) * 4096, 63 * MIB);
}

/// The processes whose stdin is below a directory.
fn readers(directory: &Path) -> Vec<Pid> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse::<i32>().ok()?;
        let stdin = std::fs::read_link(format!("/proc/{pid}/fd/0")).ok()?;
        Pid::from_raw(pid).filter(|_| stdin.starts_with(directory))
    });
    pids.collect()
}

#[tokio::test]
async fn a_holder_that_was_killed_is_replaced_and_leaves_nothing() {
    let bench = Loop::new(16 * MIB);
    let (target, holds) = (Path::new("/pod/device"), bench.root.path().join("run/holds"));
    bench.linux.hold(bench.volume(), &bench.device, target).await.unwrap();
    let holder = readers(&holds)[0];
    let exit = rustix::process::pidfd_open(holder, PidfdFlags::empty()).unwrap();
    rustix::process::kill_process(holder, Signal::KILL).unwrap();
    poll(&mut [PollFd::new(&exit, PollFlags::IN)], None).unwrap();
    bench.linux.hold(bench.volume(), &bench.device, target).await.unwrap();
    assert_eq!(readers(&holds).len(), 1);
    bench.linux.release(bench.volume(), target).await.unwrap();
    let next = bench.next_driver();
    next.release(bench.volume(), target).await.unwrap();
    assert_eq!(std::fs::read_dir(&holds).unwrap().count(), 0);
}

#[tokio::test]
async fn a_held_device_is_kept_open_until_it_is_released_by_whichever_driver() {
    let (bench, other) = (Loop::new(16 * MIB), Loop::new(16 * MIB));
    let target = bench.root.path().join("pod/device");
    bench.linux.make_file(&target).await.unwrap();
    bench.linux.bind(bench.volume(), &bench.device.path(), &target, false).await.unwrap();
    let number = (bench.device.major, bench.device.minor);
    assert_eq!(bench.linux.device_at(&target).await.unwrap(), Some(number));
    for _ in 0..2 {
        bench.linux.hold(bench.volume(), &bench.device, &target).await.unwrap();
    }
    let busy = bench.linux.hold(bench.volume(), &other.device, &target).await.unwrap_err();
    assert_eq!(busy.kind, ErrorKind::Busy, "{busy}");
    let next = bench.next_driver();
    assert!(next.hold(bench.volume(), &other.device, &target).await.is_err(), "still held after a restart");
    // A loop device that is still open is only detached once the last descriptor is closed.
    run("losetup", &["--detach", bench.device.path().to_str().unwrap()]);
    assert_eq!(
        next.read(bench.volume(), &bench.device, Range { offset: 0, length: 4096 }).await.unwrap().len(),
        4096
    );
    for _ in 0..2 {
        next.release(bench.volume(), &target).await.unwrap();
    }
    next.unmount(bench.volume(), &target).await.unwrap();
    assert_eq!(next.device_at(&target).await.unwrap(), None);
    next.remove_empty(&target).await.unwrap();
}
