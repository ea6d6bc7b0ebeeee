//! The client against the simulator: another reading of the same facts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use routeros::{
    Address, Client, DiskChange, ErrorKind, NewDisk, NvmeTcpExport, Outcome, PlainHttp, Resolution,
    RestConfig, RestTransport, Severity, Trust, Write,
};
use routeros_sim::{Action, Config, Fault, Handle, Identity, Simulator, Traffic, UserConfig};
use tempfile::TempDir;
use tokio::time::Instant;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const NQN: &str = "nqn.2026-10.test:v1.0123456789abcdef";

/// A simulated device on loopback under TLS.
struct Rds {
    simulator: Simulator,
    address: SocketAddr,
    fingerprint: String,
    files: TempDir,
}

impl Rds {
    async fn start(config: Config) -> Self {
        let simulator = Simulator::start(config).await.unwrap();
        let identity = Identity::generate(&["127.0.0.1".to_owned()]).unwrap();
        let address = simulator.listen_https(LOOPBACK, &identity).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        let rds = Self { simulator, address, fingerprint: identity.fingerprint(), files };
        rds.write("user", "admin");
        rds.write("password", "admin");
        rds
    }

    fn write(&self, name: &str, value: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.files.path().join(name);
        std::fs::write(&path, value).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    fn handle(&self) -> Handle {
        self.simulator.handle()
    }

    fn client(&self) -> Client<RestTransport> {
        let config = RestConfig {
            address: Address::parse(&format!("https://{}", self.address), PlainHttp::Refused).unwrap(),
            trust: Trust::Pinned(self.fingerprint.parse().unwrap()),
            user_file: self.files.path().join("user"),
            password_file: self.files.path().join("password"),
            in_flight: RestConfig::DEFAULT_IN_FLIGHT,
        };
        Client::new(RestTransport::new(config).unwrap())
    }
}

fn volume() -> NewDisk {
    NewDisk {
        slot: "v1".into(),
        file_path: "/raid10/v1.img".into(),
        file_size: 1 << 30,
        comment: "a record".into(),
        export: None,
    }
}

fn export() -> DiskChange {
    DiskChange::export(Some(NvmeTcpExport { nqn: NQN.into(), port: 4420, allow_host_name: String::new() }))
}

#[tokio::test]
async fn a_disk_lives_its_whole_life() {
    let rds = Rds::start(Config::default()).await;
    let client = rds.client();
    assert_eq!(client.disk_by_slot("v1").await.unwrap(), None);
    assert_eq!(client.file_by_name("/raid10/v1.img").await.unwrap(), None);
    let disk = client.add_disk(&volume()).await.unwrap();
    assert_eq!(
        (disk.file_size, disk.comment.as_deref(), disk.nvme_tcp_export),
        (Some(1 << 30), Some("a record"), false)
    );
    assert_eq!(client.disk_by_id(&disk.id).await.unwrap().as_ref(), Some(&disk));
    assert_eq!(client.disks_by_file_path("raid10/v1.img").await.unwrap(), std::slice::from_ref(&disk));
    assert_eq!(client.disk_by_mount_point("/raid10").await.unwrap().unwrap().slot, "raid10");
    let exported = client.set_disk(&disk.id, "v1", &export()).await.unwrap();
    assert_eq!(
        (exported.nvme_tcp_server_nqn.as_deref(), exported.nvme_tcp_server_port),
        (Some(NQN), Some(4420))
    );
    let grown = DiskChange { file_size: Some(2 << 30), ..DiskChange::default() };
    assert_eq!(client.set_disk(&disk.id, "v1", &grown).await.unwrap().size, Some(2 << 30));
    assert!(!client.set_disk(&disk.id, "v1", &DiskChange::export(None)).await.unwrap().nvme_tcp_export);
    client.remove_disk(&disk.id).await.unwrap();
    client.remove_disk(&disk.id).await.unwrap();
    assert_eq!(client.disk_by_id(&disk.id).await.unwrap(), None);
    let file = client.file_by_name("/raid10/v1.img").await.unwrap().unwrap();
    assert_eq!((file.name.as_str(), file.is_directory()), ("raid10/v1.img", false));
    client.remove_file(&file.id).await.unwrap();
    assert_eq!(client.file_by_name("raid10/v1.img").await.unwrap(), None);
    assert!(rds.handle().disk("v1").is_none());
}

#[tokio::test]
async fn a_reply_dropped_after_the_effect_is_resolved_by_a_read() {
    let rds = Rds::start(Config::default()).await;
    let client = rds.client();
    let drop_next =
        |method: &str| rds.handle().faults().inject(Fault::once(Action::DropReply).on(method, "/disk"));
    drop_next("PUT");
    let error = client.add_disk(&volume()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unreachable, Outcome::Unknown), "{error}");
    let Resolution::Happened(Some(disk)) = client.resolve(Write::Add(&volume())).await.unwrap() else {
        panic!("the disk is there");
    };
    drop_next("PATCH");
    let change = export();
    let error = client.set_disk(&disk.id, "v1", &change).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    let set = Write::Set { id: &disk.id, change: &change };
    assert!(
        matches!(client.resolve(set).await.unwrap(), Resolution::Happened(Some(row)) if row.nvme_tcp_export)
    );
    client.set_disk(&disk.id, "v1", &DiskChange::export(None)).await.unwrap();
    drop_next("DELETE");
    assert_eq!(client.remove_disk(&disk.id).await.unwrap_err().outcome(), Outcome::Unknown);
    let remove = Write::Remove { id: &disk.id };
    assert_eq!(client.resolve(remove).await.unwrap(), Resolution::Happened(None));
}

#[tokio::test]
async fn a_request_that_goes_on_after_its_deadline_is_over_at_the_barrier() {
    let rds = Rds::start(Config::default()).await;
    let client = rds.client();
    let slow = Action::Latency { millis: 600, when: routeros_sim::When::Before };
    rds.handle().faults().inject(Fault::once(slow).on("PUT", "/disk"));
    let soon = client.until(Instant::now() + Duration::from_millis(200));
    let error = soon.add_disk(&volume()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Deadline, Outcome::Unknown), "{error}");
    client.barrier().await.unwrap();
    assert!(matches!(client.resolve(Write::Add(&volume())).await.unwrap(), Resolution::Happened(Some(_))));
}

#[tokio::test]
async fn a_device_that_closes_after_each_answer_makes_no_outcome_unknown() {
    let rds = Rds::start(Config::default()).await;
    rds.handle().assume("keep-alive", "closed").unwrap();
    let client = rds.client();
    let disk = client.add_disk(&volume()).await.unwrap();
    for _ in 0..10 {
        let row = client.disk_by_slot("v1").await.unwrap().unwrap();
        client.set_disk(&row.id, "v1", &export()).await.unwrap();
        client.set_disk(&disk.id, "v1", &DiskChange::export(None)).await.unwrap();
    }
}

#[tokio::test]
async fn a_duplicate_slot_is_refused_in_the_devices_words() {
    let rds = Rds::start(Config::default()).await;
    let client = rds.client();
    client.add_disk(&volume()).await.unwrap();
    let again = NewDisk { file_path: "/raid10/v2.img".into(), ..volume() };
    let error = client.add_disk(&again).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert!(matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Refused), "{error}");
    assert!(error.device_text().is_some_and(|text| !text.is_empty()), "{error}");
}

#[tokio::test]
async fn a_set_without_the_write_policy_is_said_to_be_one() {
    let policies = "read,test,api,rest-api".to_owned();
    let reader = UserConfig { name: "reader".into(), password: "r".into(), policies };
    let admin = Config::default().users.remove(0);
    let rds = Rds::start(Config { users: vec![admin, reader], ..Config::default() }).await;
    let disk = rds.client().add_disk(&volume()).await.unwrap();
    rds.write("user", "reader");
    rds.write("password", "r");
    let client = rds.client();
    let set = client.set_disk(&disk.id, "v1", &export()).await.unwrap_err();
    assert_eq!((set.kind(), set.outcome()), (ErrorKind::Permission, Outcome::NotApplied), "{set}");
    let remove = client.remove_disk(&disk.id).await.unwrap_err();
    assert_eq!(remove.kind(), ErrorKind::Permission, "{remove}");
    let report = client.probe("reader").await.unwrap();
    let finding = report.findings.first().unwrap();
    assert!(finding.severity == Severity::Error && finding.message.contains("lacks write"), "{report:?}");
}

#[tokio::test]
async fn a_device_as_it_should_be_is_fit_and_an_old_one_is_not() {
    let rds = Rds::start(Config::default()).await;
    let report = rds.client().probe("admin").await.unwrap();
    assert!(report.is_fit() && report.findings.is_empty(), "{report:?}");
    rds.client().clock().await.unwrap();
    rds.client().health().await.unwrap();
    let old = Rds::start(Config { version: "7.20".parse().unwrap(), ..Config::default() }).await;
    let report = old.client().probe("admin").await.unwrap();
    assert!(!report.is_fit() && report.findings[0].message.contains("older than 7.21"), "{report:?}");
}

#[tokio::test]
async fn counters_come_by_the_list_or_by_the_monitor_and_are_the_same() {
    let rds = Rds::start(Config::default()).await;
    let client = rds.client();
    let disk = client.add_disk(&volume()).await.unwrap();
    let moved = Traffic { read_ops: 3, read_bytes: 12_288, read_millis: 1_250, ..Traffic::default() };
    rds.handle().add_traffic("v1", &moved).unwrap();
    let listed = async || {
        let mut listed = Vec::new();
        let list = client.for_each_disk_figures(|figures| {
            listed.push(figures);
            Ok(())
        });
        list.await.unwrap();
        listed.into_iter().find(|figures| figures.id == disk.id).unwrap()
    };
    let counters = listed().await.counters;
    assert_eq!((counters.read_ops, counters.read_bytes), (Some(3), Some(12_288)));
    assert_eq!((counters.read_time, counters.discard_ops), (Some(Duration::from_millis(1_250)), None));
    rds.handle().assume("disk-counters", "monitored").unwrap();
    assert!(listed().await.counters.is_empty());
    let mut monitored = Vec::new();
    let sample = client.monitor_disks(std::slice::from_ref(&disk.id), |slot, counters| {
        monitored.push((slot.to_owned(), counters));
        Ok(())
    });
    sample.await.unwrap();
    assert_eq!(monitored, [("v1".to_owned(), counters)]);
    assert!(client.resource().await.unwrap().up_for().unwrap() < Duration::from_secs(60));
}
