//! The fake kernel does what kernels were seen to do (node.md).
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::fake::{Export, FakeFabric, FakeKernel, KernelVersion};
use host::{
    Block, Connection, Content, ControllerState, Device, ErrorKind, Filesystems, Host, Mkfs, Mounts, Nvme,
    Probe, Range, Volume,
};
use tokio::time::Instant;
use uuid::Uuid;
use volume::{FsType, HostIdentity, Nqn, Slot, Tunables};

const MIB: u64 = 1 << 20;
const FIRST: &str = "nqn.test:vol.0000000000000001";
const SECOND: &str = "nqn.test:vol.0000000000000002";

struct Bench {
    fabric: FakeFabric,
    kernel: FakeKernel,
    slot: Slot,
}

fn export(nqn: &str) -> Export {
    Export {
        nqn: nqn.into(),
        volume: "/vol.img".into(),
        namespace_uuid: Uuid::from_u128(7),
        bytes: 16 * MIB,
        allowed_hosts: None,
    }
}

impl Bench {
    fn new(version: KernelVersion) -> Self {
        let fabric = FakeFabric::new("10.0.0.1:4420".parse().unwrap());
        fabric.export(export(FIRST));
        let kernel = FakeKernel::new(&fabric, "a", version);
        Self { fabric, kernel, slot: Slot::parse("vol").unwrap() }
    }

    fn volume(&self) -> Volume<'_> {
        Volume { slot: &self.slot, deadline: Instant::now() + Duration::from_secs(10) }
    }

    async fn connect(&self, nqn: &str) -> host::Result<()> {
        self.kernel.connect(self.volume(), &connection(nqn, 1)).await
    }

    async fn device(&self) -> Option<Device> {
        let subsystems = self.kernel.subsystems().await.unwrap();
        let ours = subsystems.into_iter().filter(|s| s.nqn != host::fake::LOCAL_DRIVE);
        ours.flat_map(|s| s.namespaces).map(|n| n.device).next()
    }

    async fn state(&self) -> Option<ControllerState> {
        let subsystems = self.kernel.subsystems().await.unwrap();
        let ours = subsystems.into_iter().find(|s| s.nqn == FIRST);
        ours.and_then(|s| s.controllers.into_iter().next()).map(|c| c.state)
    }

    /// Connected, formatted, mounted at the staging path, one file written and not synced.
    async fn staged(version: KernelVersion) -> (Self, Device, PathBuf) {
        let bench = Self::new(version);
        bench.connect(FIRST).await.unwrap();
        let device = bench.device().await.unwrap();
        bench.kernel.mkfs(bench.volume(), &device, &mkfs(FsType::Ext4)).await.unwrap();
        let staging = PathBuf::from("/kubelet/staging");
        bench.kernel.make_dir(&staging).await.unwrap();
        bench.kernel.mount(bench.volume(), &device, &staging, FsType::Ext4, &[]).await.unwrap();
        bench.kernel.write_file(&staging, "f", b"bytes").unwrap();
        (bench, device, staging)
    }
}

fn connection(nqn: &str, host: u128) -> Connection {
    Connection {
        nqn: Nqn::parse(nqn).unwrap(),
        address: "10.0.0.1:4420".parse().unwrap(),
        host: HostIdentity::from_id(Uuid::from_u128(host)),
        tunables: Tunables::default(),
    }
}

fn mkfs(fs: FsType) -> Mkfs {
    Mkfs { fs, uuid: Uuid::from_u128(9), bytes: None }
}

#[tokio::test(start_paused = true)]
async fn a_file_written_on_one_node_is_read_on_the_next() {
    let (bench, _, staging) = Bench::staged(KernelVersion::V6_1).await;
    bench.kernel.unmount(bench.volume(), &staging).await.unwrap();
    bench.kernel.disconnect(bench.volume(), FIRST).await.unwrap();
    bench.kernel.remove_empty(&staging).await.unwrap();
    assert_eq!(bench.kernel.leftovers(), Vec::<String>::new());
    let other = FakeKernel::new(&bench.fabric, "b", KernelVersion::V6_12);
    let next = Bench { kernel: other, ..bench };
    next.connect(FIRST).await.unwrap();
    let device = next.device().await.unwrap();
    next.kernel.make_dir(&staging).await.unwrap();
    next.kernel.mount(next.volume(), &device, &staging, FsType::Ext4, &[]).await.unwrap();
    assert_eq!(next.kernel.read_file(&staging, "f").unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn an_unsynced_file_dies_with_the_power_and_a_synced_one_does_not() {
    for synced in [false, true] {
        let (mut bench, _, staging) = Bench::staged(KernelVersion::V6_1).await;
        if synced {
            bench.kernel.sync(bench.volume(), &staging).await.unwrap();
        }
        bench.kernel = bench.kernel.power_loss();
        bench.connect(FIRST).await.unwrap();
        let device = bench.device().await.unwrap();
        let mounted = bench.kernel.mount(bench.volume(), &device, &staging, FsType::Ext4, &[]).await;
        assert_eq!(mounted.is_ok() && bench.kernel.read_file(&staging, "f").is_ok(), synced);
    }
}

#[tokio::test(start_paused = true)]
async fn k1_the_same_namespace_under_a_new_nqn_has_no_device_until_the_old_controller_is_gone() {
    let bench = Bench::new(KernelVersion::V6_1);
    bench.connect(FIRST).await.unwrap();
    bench.fabric.set_exports(vec![export(SECOND)]);
    bench.connect(SECOND).await.unwrap();
    let of_second = async || {
        let subsystems = bench.kernel.subsystems().await.unwrap();
        subsystems.into_iter().find(|s| s.nqn == SECOND).unwrap()
    };
    assert_eq!(of_second().await.controllers[0].state, ControllerState::Live);
    assert!(of_second().await.namespaces.is_empty());
    bench.kernel.disconnect(bench.volume(), FIRST).await.unwrap();
    bench.kernel.rescan(bench.volume(), &of_second().await.controllers[0].name).await.unwrap();
    assert_eq!(of_second().await.namespaces.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn k2_a_refusal_ends_the_controller_on_6_12_and_not_on_6_1() {
    for (version, state) in
        [(KernelVersion::V6_1, Some(ControllerState::Reconnecting)), (KernelVersion::V6_12, None)]
    {
        let bench = Bench::new(version);
        bench.connect(FIRST).await.unwrap();
        bench.fabric.unexport(FIRST);
        assert_eq!(bench.state().await, state);
        assert!(bench.fabric.sessions(FIRST).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn k3_a_queued_write_lands_on_another_volume_that_took_the_name() {
    let (bench, _, staging) = Bench::staged(KernelVersion::V6_1).await;
    bench.fabric.stop();
    assert_eq!(bench.kernel.fsync(&staging).unwrap_err().kind, ErrorKind::Abandoned);
    let other = Export { volume: "/other.img".into(), namespace_uuid: Uuid::from_u128(8), ..export(FIRST) };
    bench.fabric.set_exports(vec![other]);
    bench.fabric.start();
    assert!(!bench.fabric.is_blank("/other.img"));
    assert!(bench.kernel.read_file(&staging, "f").is_err());
}

#[tokio::test(start_paused = true)]
async fn k4_an_unmount_without_a_path_empties_mountinfo_and_hangs_until_the_path_is_back() {
    let (bench, device, staging) = Bench::staged(KernelVersion::V6_1).await;
    bench.kernel.cut_link();
    let unmounted = bench.kernel.unmount(bench.volume(), &staging).await;
    assert_eq!(unmounted.unwrap_err().kind, ErrorKind::Abandoned);
    assert!(bench.kernel.mounts().await.unwrap().is_empty());
    let other = bench.kernel.is_free(bench.volume(), &device).await;
    assert_eq!(other.unwrap_err().kind, ErrorKind::Pending, "one helper a volume");
    bench.kernel.mend_link();
    bench.kernel.unmount(bench.volume(), &staging).await.unwrap();
    assert!(bench.kernel.is_free(bench.volume(), &device).await.unwrap());
    assert!(!bench.fabric.is_blank("/vol.img"));
}

#[tokio::test(start_paused = true)]
async fn k4_a_restarted_driver_finds_nothing_mounted_and_the_superblock_alive() {
    let (mut bench, device, staging) = Bench::staged(KernelVersion::V6_1).await;
    bench.kernel.cut_link();
    bench.kernel.unmount(bench.volume(), &staging).await.unwrap_err();
    bench.kernel = bench.kernel.restart_driver();
    assert_eq!(bench.kernel.join(bench.volume()).await.unwrap_err().kind, ErrorKind::Abandoned);
    let bystander = Slot::parse("other").unwrap();
    let volume = Volume { slot: &bystander, ..bench.volume() };
    bench.kernel.unmount(volume, &staging).await.unwrap();
    assert!(!bench.kernel.is_free(volume, &device).await.unwrap(), "O_EXCL tells what mountinfo does not");
}

#[tokio::test(start_paused = true)]
async fn k5_disconnecting_first_lets_the_unmount_say_success_over_lost_pages() {
    let (bench, _, staging) = Bench::staged(KernelVersion::V6_12).await;
    bench.kernel.sync(bench.volume(), &staging).await.unwrap();
    bench.kernel.write_file(&staging, "late", b"lost").unwrap();
    bench.kernel.disconnect(bench.volume(), FIRST).await.unwrap();
    assert!(bench.kernel.sync(bench.volume(), &staging).await.is_err(), "6.12 tells once");
    bench.kernel.sync(bench.volume(), &staging).await.unwrap();
    bench.kernel.unmount(bench.volume(), &staging).await.unwrap();
    assert_eq!(bench.kernel.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn k4_a_disconnect_goes_beside_an_unmount_that_hangs_and_frees_it() {
    let (bench, _, staging) = Bench::staged(KernelVersion::V6_1).await;
    bench.kernel.cut_link();
    bench.kernel.unmount(bench.volume(), &staging).await.unwrap_err();
    bench.kernel.disconnect(bench.volume(), FIRST).await.unwrap();
    bench.kernel.join(bench.volume()).await.unwrap();
    assert_eq!(bench.kernel.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_waits_for_a_connect_whose_controller_it_would_not_see() {
    let bench = Bench::new(KernelVersion::V6_1);
    bench.kernel.hang("connect");
    bench.connect(FIRST).await.unwrap_err();
    let pending = bench.kernel.disconnect(bench.volume(), FIRST).await.unwrap_err();
    assert_eq!(pending.kind, ErrorKind::Pending);
    bench.kernel.unhang("connect");
    bench.kernel.disconnect(bench.volume(), FIRST).await.unwrap();
    assert_eq!(bench.kernel.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn k6_a_foreign_mount_namespace_keeps_the_device_busy_and_the_data_unwritten() {
    let (bench, device, staging) = Bench::staged(KernelVersion::V6_1).await;
    bench.kernel.sync(bench.volume(), &staging).await.unwrap();
    let synced = bench.fabric.stored("/vol.img", 0, 16 * MIB);
    bench.kernel.write_file(&staging, "late", b"late").unwrap();
    bench.kernel.copy_to_foreign_namespace(&staging);
    bench.kernel.unmount(bench.volume(), &staging).await.unwrap();
    assert!(bench.kernel.mounts().await.unwrap().is_empty());
    assert_eq!(bench.fabric.stored("/vol.img", 0, 16 * MIB), synced);
    assert!(!bench.kernel.is_free(bench.volume(), &device).await.unwrap());
    bench.kernel.end_foreign_namespaces();
    assert!(bench.kernel.is_free(bench.volume(), &device).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn k12_another_host_nqn_makes_a_second_path_into_the_same_head() {
    let bench = Bench::new(KernelVersion::V6_1);
    bench.connect(FIRST).await.unwrap();
    bench.kernel.connect(bench.volume(), &connection(FIRST, 2)).await.unwrap();
    let subsystem = bench.kernel.subsystems().await.unwrap().into_iter().find(|s| s.nqn == FIRST).unwrap();
    assert_eq!((subsystem.controllers.len(), subsystem.namespaces.len()), (2, 1));
    bench.kernel.disconnect(bench.volume(), FIRST).await.unwrap();
    assert_eq!(bench.device().await, None);
    assert!(bench.kernel.has_local_drive());
}

#[tokio::test(start_paused = true)]
async fn k14_a_new_size_is_seen_after_a_rescan_only() {
    let bench = Bench::new(KernelVersion::V6_1);
    bench.connect(FIRST).await.unwrap();
    bench.fabric.resize(FIRST, 32 * MIB);
    let bytes = async || {
        let subsystems = bench.kernel.subsystems().await.unwrap();
        subsystems.iter().find(|s| s.nqn == FIRST).unwrap().namespaces[0].bytes
    };
    assert_eq!(bytes().await, 16 * MIB);
    bench.kernel.rescan(bench.volume(), "nvme1").await.unwrap();
    assert_eq!(bytes().await, 32 * MIB);
}

#[tokio::test(start_paused = true)]
async fn a_cut_link_is_noticed_by_the_keep_alive_and_given_up_at_the_loss_timeout() {
    let bench = Bench::new(KernelVersion::V6_1);
    bench.connect(FIRST).await.unwrap();
    bench.kernel.cut_link();
    assert_eq!(bench.state().await, Some(ControllerState::Live));
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(bench.state().await, Some(ControllerState::Reconnecting));
    tokio::time::advance(Duration::from_secs(1800)).await;
    assert_eq!(bench.state().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_probe_tells_unknown_refused_and_unreachable_apart() {
    let bench = Bench::new(KernelVersion::V6_1);
    let deadline = Instant::now();
    let probe = async |nqn| bench.kernel.probe(&connection(nqn, 1), deadline).await;
    assert_eq!(probe(FIRST).await, Probe::Accepted);
    assert_eq!(probe(SECOND).await, Probe::NqnUnknown);
    bench.fabric.export(Export { allowed_hosts: Some(vec!["nqn.other".into()]), ..export(FIRST) });
    assert_eq!(probe(FIRST).await, Probe::HostRefused);
    assert_eq!(bench.connect(FIRST).await.unwrap_err().kind, ErrorKind::Refused(Some(5)));
    bench.fabric.stop();
    assert!(matches!(probe(FIRST).await, Probe::Unreachable(_)));
}

#[tokio::test(start_paused = true)]
async fn a_mkfs_cut_short_leaves_what_it_wrote_and_no_file_system() {
    for effects in 1..=2 {
        let mut bench = Bench::new(KernelVersion::V6_1);
        bench.fabric.overwrite("/vol.img", 16 * MIB - 4096, b"marker");
        bench.connect(FIRST).await.unwrap();
        let device = bench.device().await.unwrap();
        bench.kernel.effects().crash_after(effects);
        let given = Mkfs { bytes: Some(15 * MIB), ..mkfs(FsType::Ext4) };
        tokio::select! {
            _ = bench.kernel.mkfs(bench.volume(), &device, &given) => panic!("a crashed driver had an answer"),
            () = bench.kernel.effects().crashed() => {}
        }
        assert_eq!(bench.fabric.stored("/vol.img", 16 * MIB - 4096, 6), b"marker");
        bench.kernel = bench.kernel.restart_driver();
        let all = [Range { offset: 0, length: 15 * MIB }];
        let found = bench.kernel.scan(bench.volume(), &device, &all).await.unwrap();
        assert_eq!(found == Content::Zero, effects == 1);
        bench.kernel.make_dir(Path::new("/t")).await.unwrap();
        let mounted = bench.kernel.mount(bench.volume(), &device, Path::new("/t"), FsType::Ext4, &[]).await;
        assert_eq!(mounted.unwrap_err().kind, ErrorKind::Refused(Some(22)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_does_not_fit_fits_after_growth() {
    let (bench, device, staging) = Bench::staged(KernelVersion::V6_1).await;
    let large = vec![1; 20 << 20];
    assert_eq!(
        bench.kernel.write_file(&staging, "large", &large).unwrap_err().kind,
        ErrorKind::Refused(Some(28))
    );
    bench.fabric.resize(FIRST, 32 * MIB);
    bench.kernel.rescan(bench.volume(), "nvme1").await.unwrap();
    bench.kernel.grow(bench.volume(), &device, &staging, FsType::Ext4).await.unwrap();
    bench.kernel.write_file(&staging, "large", &large).unwrap();
    assert_eq!(bench.kernel.usage(bench.volume(), &staging).await.unwrap().total_bytes, 32 * MIB);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_operation_happens_later_and_its_retry_joins_it() {
    let bench = Bench::new(KernelVersion::V6_1);
    bench.kernel.hang("connect");
    assert_eq!(bench.connect(FIRST).await.unwrap_err().kind, ErrorKind::Abandoned);
    assert_eq!(bench.connect(FIRST).await.unwrap_err().kind, ErrorKind::Abandoned);
    bench.kernel.unhang("connect");
    bench.connect(FIRST).await.unwrap();
    assert_eq!(bench.fabric.sessions(FIRST).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bound_device_node_reaches_whatever_has_its_number_unless_it_is_held() {
    for held in [false, true] {
        let bench = Bench::new(KernelVersion::V6_1);
        bench.connect(FIRST).await.unwrap();
        let device = bench.device().await.unwrap();
        let target = Path::new("/pod/device");
        bench.kernel.make_file(target).await.unwrap();
        bench.kernel.bind(bench.volume(), &device.path(), target, false).await.unwrap();
        assert_eq!(bench.kernel.device_at(target).await.unwrap(), Some((device.major, device.minor)));
        if held {
            bench.kernel.hold(bench.volume(), &device, target).await.unwrap();
        }
        bench.kernel.disconnect(bench.volume(), FIRST).await.unwrap();
        let other =
            Export { volume: "/other.img".into(), namespace_uuid: Uuid::from_u128(8), ..export(SECOND) };
        bench.fabric.set_exports(vec![other]);
        bench.connect(SECOND).await.unwrap();
        assert_eq!(bench.kernel.write_block(target, 0, b"astray").is_ok(), !held);
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_is_empty_is_removed() {
    let bench = Bench::new(KernelVersion::V6_1);
    let (outer, inner) = (Path::new("/a/b"), Path::new("/a/b/c"));
    bench.kernel.make_dir(inner).await.unwrap();
    assert!(bench.kernel.remove_empty(outer).await.is_err());
    bench.kernel.put_foreign(inner);
    assert!(bench.kernel.remove_empty(inner).await.is_err());
    assert!(bench.kernel.make_file(inner).await.is_err());
    bench.kernel.remove_empty(Path::new("/nothing")).await.unwrap();
    assert!(bench.kernel.exists(inner));
}
