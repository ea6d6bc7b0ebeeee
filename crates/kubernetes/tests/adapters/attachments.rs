//! VolumeAttachments, page by page.

use std::time::Duration;

use kubernetes::{Claims, Live, PersistentVolumeEntry, attachment_name};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use volume::{Generation, NodeId, NqnPrefix, Slot};

use crate::server::{Answer, Asked, Log, list, ok, refused, server};

const DRIVER: &str = "rds.csi.srvlab.io";

fn live(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> (Live, Log) {
    let (client, log) = server(move |Asked { path, .. }| std::future::ready(answer(&path)));
    (Live::new(client, DRIVER, NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap()), log)
}

fn attachment(name: &str, attacher: &str, node: &str, volume: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"attacher": attacher, "nodeName": node, "source": {"persistentVolumeName": volume}},
        "status": {"attached": true, "attachmentMetadata":
            {"nvme_nqn": "nqn.2000-02.com.mikrotik:pvc-1.00000000000000ab"}},
    })
}

fn volume(name: &str, handle: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"csi": {"driver": DRIVER, "volumeHandle": handle}}})
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn page(items: &[Value], next: &str) -> Value {
    let mut page = list(items);
    page["metadata"]["continue"] = next.into();
    page
}

/// A list of volumes that was made just before one of them.
#[tokio::test]
async fn a_volume_that_is_newer_than_the_list_of_volumes_is_mapped() {
    let (live, _) = live(|path| match path {
        "/api/v1/persistentvolumes?&limit=1000" => ok(list(&[volume("pv-1", "pvc-1")])),
        path => cluster(path),
    });
    let all = live.volume_attachments(soon()).await.unwrap();
    assert!(all.wants.iter().map(|(slot, _)| slot.as_str()).eq(["pvc-1", "pvc-2"]));
    assert!(all.unmapped.iter().map(NodeId::name).eq(["b"]));
}

/// Two pages of VolumeAttachments, of which one is another driver's.
fn cluster(path: &str) -> Answer {
    if path.starts_with("/apis/storage.k8s.io/v1/volumeattachments?") {
        let second = path.contains("continue=more");
        return ok(if second {
            page(&[attachment("va-2", DRIVER, "b", "pv-gone"), attachment("va-3", DRIVER, "c", "pv-2")], "")
        } else {
            page(&[attachment("va-1", DRIVER, "a", "pv-1"), attachment("va-x", "other", "z", "pv-1")], "more")
        });
    }
    match path {
        "/api/v1/persistentvolumes/pv-1" => ok(volume("pv-1", "pvc-1")),
        "/api/v1/persistentvolumes/pv-2" => ok(volume("pv-2", "pvc-2")),
        "/api/v1/persistentvolumes?&limit=1000" => {
            ok(list(&[volume("pv-1", "pvc-1"), volume("pv-2", "pvc-2")]))
        }
        _ => refused(404),
    }
}

#[tokio::test]
async fn all_pages_are_read_and_mapped_through_their_volumes() {
    let (live, log) = live(cluster);
    let all = live.volume_attachments(soon()).await.unwrap();
    let wants: Vec<_> = all.wants.iter().map(|(slot, want)| (slot.as_str(), want.node.name())).collect();
    assert_eq!(wants, [("pvc-1", "a"), ("pvc-2", "c")]);
    assert_eq!(all.wants[0].1.generation, Some(Generation::from_bits(0xab)));
    // The same NQN on another volume's is not its generation.
    assert_eq!(all.wants[1].1.generation, None);
    assert!(all.unmapped.iter().map(NodeId::name).eq(["b"]));
    // Two pages and one, and what the list of volumes lacks by itself.
    assert_eq!(log.all().len(), 4);
    assert!(log.all().iter().all(|asked| !asked.path.contains("resourceVersion")), "live, not from a cache");
}

#[tokio::test]
async fn a_volume_asks_live_for_every_pv_that_is_not_known_as_anothers() {
    let (live, log) = live(cluster);
    let claims = Claims::empty();
    let known = |name: &str, handle: &str| PersistentVolumeEntry {
        name: name.into(),
        handle: handle.into(),
        claim: None,
    };
    claims.insert(known("pv-1", "pvc-1"));
    claims.insert(known("pv-2", "pvc-2"));
    let of = live.attachments(&Slot::parse("pvc-1").unwrap(), &claims, soon()).await.unwrap();
    assert!(of.wants.iter().map(|want| want.name.as_str()).eq(["va-1"]));
    assert!(of.unmapped.iter().map(NodeId::name).eq(["b"]));
    let asked: Vec<_> = log.all().into_iter().map(|asked| asked.path).skip(2).collect();
    assert_eq!(asked, ["/api/v1/persistentvolumes/pv-1", "/api/v1/persistentvolumes/pv-gone"]);
}

#[tokio::test]
async fn a_look_over_everything_asks_only_for_the_pvs_that_the_watch_does_not_know() {
    let (client, log) = server(|Asked { path, .. }| std::future::ready(cluster(&path)));
    let live = Live::new(client.clone(), DRIVER, NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap());
    let whole = live.volume_attachments(soon()).await.unwrap();
    assert_eq!(
        live.surveyed_attachments(&Claims::empty(), soon()).await.unwrap(),
        whole,
        "nothing is known yet"
    );
    let stop = CancellationToken::new();
    let claims = Claims::watch(client, DRIVER, stop.clone());
    claims.synced().await;
    stop.cancel();
    let before = log.all().len();
    assert_eq!(live.surveyed_attachments(&claims, soon()).await.unwrap(), whole);
    let asked: Vec<_> = log.all().into_iter().skip(before).map(|asked| asked.path).collect();
    let asked_for = |part: &str| asked.iter().filter(|path| path.contains(part)).count();
    assert_eq!(
        (asked_for("volumeattachments?"), asked_for("/persistentvolumes/pv-gone")),
        (2, 1),
        "{asked:?}"
    );
    assert_eq!(
        (asked_for("/persistentvolumes/"), asked_for("persistentvolumes?&limit")),
        (1, 0),
        "{asked:?}"
    );
    assert!(asked.iter().all(|path| !path.contains("resourceVersion")), "live, not from a cache: {asked:?}");
}

#[tokio::test]
async fn many_unknown_pvs_are_listed_and_not_asked_for_one_by_one() {
    let many: Vec<_> =
        (0..50).map(|n| attachment(&format!("va-{n}"), DRIVER, "a", &format!("pv-{n}"))).collect();
    let (live, log) =
        live(move |path| if path.contains("volumeattachments") { ok(list(&many)) } else { cluster(path) });
    let of = live.attachments(&Slot::parse("pvc-1").unwrap(), &Claims::empty(), soon()).await.unwrap();
    assert!(of.wants.iter().map(|want| want.name.as_str()).eq(["va-1"]));
    assert_eq!(log.all().len(), 2);
}

#[tokio::test]
async fn a_list_that_is_not_whole_is_no_answer() {
    for broken in ["continue=more", "persistentvolumes?"] {
        let (live, _) = live(move |path| if path.contains(broken) { refused(410) } else { cluster(path) });
        let error = live.volume_attachments(soon()).await.unwrap_err();
        assert!(error.to_string().contains("410"), "{broken}: {error}");
    }
}

#[tokio::test]
async fn a_pv_that_may_not_be_read_is_no_answer_either() {
    let (live, _) = live(|path| if path.ends_with("/pv-1") { refused(403) } else { cluster(path) });
    let slot = Slot::parse("pvc-1").unwrap();
    assert!(live.attachments(&slot, &Claims::empty(), soon()).await.unwrap_err().is_forbidden());
}

#[tokio::test]
async fn one_attachment_is_read_by_the_name_that_kubernetes_gives_it() {
    let (slot, node) = (Slot::parse("pvc-1").unwrap(), NodeId::of_node("a").unwrap());
    let name = attachment_name("pvc-1", DRIVER, &node);
    let path = format!("/apis/storage.k8s.io/v1/volumeattachments/{name}");
    let (live, _) =
        live(
            move |asked| {
                if asked == path { ok(attachment(&name, DRIVER, "a", "pv-1")) } else { refused(404) }
            },
        );
    let found = live.attachment(&slot, &node, soon()).await.unwrap().unwrap();
    assert_eq!((found.attached, found.generation), (true, Some(Generation::from_bits(0xab))));
    let elsewhere = NodeId::of_node("b").unwrap();
    assert_eq!(live.attachment(&slot, &elsewhere, soon()).await, Ok(None));
}
