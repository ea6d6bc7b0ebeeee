//! The election with its real runner, on a Lease that lives in a test.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use kubernetes::{BootTime, Leader, LeaseName, Terms};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::server::{Answer, Asked, ok, refused, server};

thread_local! {
    static BASE: OnceCell<Instant> = const { OnceCell::new() };
}

/// The paused clock of the test, as if it counted suspend.
fn clock() -> BootTime {
    let base = BASE.with(|base| *base.get_or_init(Instant::now));
    BootTime::since_boot(Duration::from_secs(1000) + base.elapsed())
}

#[derive(Default)]
struct Stored {
    lease: Option<Value>,
    version: u64,
    cut: Vec<&'static str>,
    delay: Duration,
}

/// One API server with one Lease, and a line to it for each process.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<Stored>>);

impl Api {
    fn process(&self, name: &'static str) -> Leader {
        let stored = Arc::clone(&self.0);
        let (client, _) = server(move |asked| {
            let stored = Arc::clone(&stored);
            async move {
                let cut = stored.lock().unwrap().cut.contains(&name);
                let delay = stored.lock().unwrap().delay;
                sleep(delay).await;
                if cut {
                    std::future::pending::<()>().await;
                }
                let mut stored = stored.lock().unwrap();
                stored.answer(asked)
            }
        });
        let lease = LeaseName { namespace: "rds".to_owned(), name: "rds-csi-controller".to_owned() };
        Leader::start_with(client, lease, name, Terms::default(), clock)
    }

    fn cut(&self, name: &'static str) {
        self.0.lock().unwrap().cut.push(name);
    }

    /// What a person with kubectl does.
    fn write(&self, lease: Option<Value>) {
        let mut stored = self.0.lock().unwrap();
        stored.put(lease);
    }

    fn lease(&self) -> Option<Value> {
        self.0.lock().unwrap().lease.clone()
    }

    fn transitions(&self) -> i64 {
        self.lease().unwrap()["spec"]["leaseTransitions"].as_i64().unwrap()
    }
}

impl Stored {
    fn put(&mut self, lease: Option<Value>) -> Value {
        self.version += 1;
        self.lease = lease.map(|mut lease| {
            lease["metadata"]["resourceVersion"] = self.version.to_string().into();
            lease
        });
        self.lease.clone().unwrap_or_default()
    }

    fn answer(&mut self, Asked { method, body, .. }: Asked) -> Answer {
        match (method, self.lease.clone()) {
            (Method::GET, Some(lease)) => ok(lease),
            (Method::POST, None) => ok(self.put(Some(body))),
            (Method::PUT, Some(lease)) => {
                let same = lease["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"];
                if same { ok(self.put(Some(body))) } else { refused(409) }
            }
            (Method::POST, Some(_)) => refused(409),
            _ => refused(404),
        }
    }
}

async fn within<T>(seconds: u64, event: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(seconds), event).await.unwrap()
}

/// Waits until this one leads.
async fn leads(process: &Leader, seconds: u64) {
    within(seconds, process.elected()).await;
    assert!(process.sends_until().is_some());
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_goes_on_leading() {
    let api = Api::default();
    let (a, b) = (api.process("a"), api.process("b"));
    within(20, async {
        tokio::select! { () = a.elected() => {}, () = b.elected() => {} }
    })
    .await;
    for _ in 0..60 {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(
            [&a, &b].map(|process| process.sends_until().is_some()).iter().filter(|leads| **leads).count(),
            1
        );
    }
    assert_eq!((api.transitions(), a.term().max(b.term())), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_of_five_seconds_a_call_keeps_its_leader() {
    let api = Api::default();
    let a = api.process("a");
    leads(&a, 20).await;
    let b = api.process("b");
    api.0.lock().unwrap().delay = Duration::from_secs(5);
    for _ in 0..120 {
        sleep(Duration::from_secs(1)).await;
        assert!(a.sends_until().is_some_and(|until| until - Instant::now() > Duration::from_secs(3)));
        assert!(b.sends_until().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_has_stopped_before_another_starts() {
    let api = Api::default();
    let a = api.process("a");
    leads(&a, 20).await;
    let b = api.process("b");
    sleep(Duration::from_secs(7)).await;
    api.cut("a");
    within(15, a.lost().cancelled()).await;
    assert_eq!((a.sends_until(), b.sends_until()), (None, None));
    leads(&b, 10).await;
    assert_eq!((a.sends_until(), b.term()), (None, 3));
    assert_eq!(api.lease().unwrap()["spec"]["leaseDurationSeconds"], 15);
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_once_by_who_saw_its_holder() {
    let api = Api::default();
    let a = api.process("a");
    leads(&a, 20).await;
    let b = api.process("b");
    sleep(Duration::from_secs(2)).await;
    a.release(Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(a.sends_until(), None);
    leads(&b, 3).await;
    assert!(!a.lost().is_cancelled());
    // Who finds a released Lease cannot know whether it is the truth or a backup.
    b.release(Instant::now() + Duration::from_secs(5)).await;
    let late = api.process("c");
    assert!(timeout(Duration::from_secs(14), late.elected()).await.is_err());
    leads(&late, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_deleted_by_hand_is_made_again_by_its_holder() {
    let api = Api::default();
    let a = api.process("a");
    leads(&a, 20).await;
    api.write(None);
    let b = api.process("b");
    sleep(Duration::from_secs(60)).await;
    assert!(a.sends_until().is_some() && b.sends_until().is_none());
    assert!(api.lease().unwrap()["spec"]["holderIdentity"].as_str().unwrap().starts_with("a_"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_from_a_backup_or_of_nobody_known_stops_nobody_for_ever() {
    for foreign in [
        json!({"holderIdentity": "nobody", "leaseDurationSeconds": 15, "leaseTransitions": 3,
            "renewTime": "2099-01-01T00:00:00.000000Z"}),
        json!({"holderIdentity": "nobody", "leaseDurationSeconds": 2_000_000_000, "leaseTransitions": -7}),
        json!({"holderIdentity": "nobody"}),
    ] {
        let api = Api::default();
        let (metadata, first) = (json!({"name": "rds-csi-controller", "uid": "u"}), api.process("a"));
        leads(&first, 20).await;
        let b = api.process("b");
        sleep(Duration::from_secs(2)).await;
        api.write(Some(json!({"metadata": metadata, "spec": foreign})));
        within(6, first.lost().cancelled()).await;
        leads(&b, 65).await;
        assert!(b.term() > 1, "{foreign}: {}", b.term());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_emptied_by_hand_is_kept_by_its_holder() {
    for spec in [json!({}), Value::Null, json!({"holderIdentity": "", "leaseTransitions": 9})] {
        let api = Api::default();
        let a = api.process("a");
        leads(&a, 20).await;
        let b = api.process("b");
        sleep(Duration::from_secs(2)).await;
        api.write(Some(json!({"metadata": {"name": "rds-csi-controller", "uid": "u"}, "spec": spec})));
        sleep(Duration::from_secs(60)).await;
        assert!(a.sends_until().is_some() && b.sends_until().is_none(), "{spec}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_term_is_above_every_record_and_doubt_reads_at_once() {
    let api = Api::default();
    let a = api.process("a");
    assert_eq!(a.term(), 0);
    leads(&a, 20).await;
    a.raise_term(41);
    a.raise_term(7);
    assert_eq!(a.term(), 42);
    sleep(Duration::from_millis(100)).await;
    a.check_now();
    sleep(Duration::from_millis(100)).await;
    assert!(!a.lost().is_cancelled() && a.sends_until().is_some());
    api.write(Some(json!({"metadata": {}, "spec": {"holderIdentity": "other"}})));
    a.check_now();
    within(1, a.lost().cancelled()).await;
}
