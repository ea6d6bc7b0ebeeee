//! The worker: one request after the other, each until its deadline, again where that may help.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rand::random;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use volume::{Event, Involved};

use super::Reporter;
use super::metrics::{Dropped, Metrics};
use super::series::{Series, Step};
use crate::ApiError;
use crate::ask::ask;
use crate::edge::Edge;

/// Attempts for one event, with pauses that double: about four minutes while the rest waits in the queue. An
/// API server that is away for longer costs one event each time.
const ATTEMPTS: u32 = 12;
/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause: how late the queue notices that the API server is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Kubernetes (`pkg/apis/core/validation/events.go`): bytes of a note.
const LONGEST_NOTE: usize = 1024;
/// Likewise, of a reporting instance.
const LONGEST_INSTANCE: usize = 128;
/// A name is a DNS subdomain of 253 characters; 17 of them are the dot and the random part.
const LONGEST_NAME: usize = 253 - 17;
/// Events on objects without a namespace lie here (R14).
const DEFAULT_NAMESPACE: &str = "default";

pub(super) struct Worker {
    client: Client,
    reporter: Reporter,
    metrics: Metrics,
    request: Duration,
    series: Series,
    edge: Edge,
}

impl Worker {
    pub(super) fn new(client: Client, reporter: Reporter, metrics: Metrics, request: Duration) -> Self {
        let reporter = Reporter { instance: cut(&reporter.instance, LONGEST_INSTANCE, ""), ..reporter };
        let (series, edge) = (Series::default(), Edge::new("posting events"));
        Self { client, reporter, metrics, request, series, edge }
    }

    /// Posts what comes until `closing`, and then what is left.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Event>, closing: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                event = queue.recv() => match event {
                    Some(event) => self.handle(event).await,
                    None => return,
                },
                () = closing.cancelled(), if !queue.is_closed() => queue.close(),
            }
        }
    }

    async fn handle(&mut self, event: Event) {
        let Some(regarding) = regarding(&event.involved, &self.reporter) else {
            self.metrics.dropped(Dropped::NoObject);
            return;
        };
        match self.post(&event, &regarding).await {
            Ok(()) => {
                self.edge.worked();
                self.metrics.posted(event.reason);
            }
            Err(error) => {
                self.edge.failed(&error);
                let retriable = error.is_retriable();
                self.metrics.dropped(if retriable { Dropped::Unanswered } else { Dropped::Refused });
            }
        }
    }

    async fn post(&mut self, event: &Event, regarding: &ObjectReference) -> Result<(), ApiError> {
        let namespace = regarding.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let api = Api::<v1::Event>::namespaced(self.client.clone(), namespace);
        if let Step::Repeat { key, name, count } = self.series.plan(event, Instant::now()) {
            match self.again(&api, &Request::Repeat { name: name.clone(), count, at: Timestamp::now() }).await
            {
                // Events live for an hour, and may be deleted: then this one is a new one.
                Err(error) if error.is_not_found() => self.series.forget(&key),
                answer => {
                    self.series.posted(key, name, count, Instant::now());
                    return answer;
                }
            }
        }
        let Step::Create { key, message } = self.series.plan(event, Instant::now()) else { return Ok(()) };
        let object = object(event, &message, regarding, &self.reporter);
        let name = object.metadata.name.clone().unwrap_or_default();
        self.again(&api, &Request::Create(Box::new(object))).await?;
        self.series.posted(key, name, 1, Instant::now());
        Ok(())
    }

    /// The same request until it succeeds, cannot, or was tried often enough.
    async fn again(&mut self, api: &Api<v1::Event>, request: &Request) -> Result<(), ApiError> {
        let (mut pause, mut was_away) = (FIRST_PAUSE, false);
        for _ in 1..ATTEMPTS {
            match request.send(api, self.request).await {
                Err(error) if error.is_retriable() => {
                    was_away = true;
                    self.edge.failed(&error);
                }
                // Seen of 1.36: one that has just started refuses everybody until it has read the roles.
                Err(error) if was_away && error.is_refusal() => {}
                answer => return answer,
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        request.send(api, self.request).await
    }
}

/// A request that has the same effect however often it arrives.
enum Request {
    Create(Box<v1::Event>),
    Repeat { name: String, count: i32, at: Timestamp },
}

impl Request {
    async fn send(&self, api: &Api<v1::Event>, timeout: Duration) -> Result<(), ApiError> {
        let deadline = Instant::now() + timeout;
        match self {
            Self::Create(object) => {
                let parameters = PostParams::default();
                let answer = api.create(&parameters, object);
                match ask(|| "posting an event".to_owned(), deadline, answer).await {
                    // The name is random: an earlier attempt of this very request arrived.
                    Err(error) if error.is_conflict() => Ok(()),
                    answer => answer.map(drop),
                }
            }
            Self::Repeat { name, count, at } => {
                let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(*at)}});
                let (parameters, patch) = (PatchParams::default(), Patch::Merge(&series));
                let answer = api.patch(name, &parameters, &patch);
                ask(|| format!("repeating event {name}"), deadline, answer).await.map(drop)
            }
        }
    }
}

fn regarding(involved: &Involved, reporter: &Reporter) -> Option<ObjectReference> {
    let (kind, namespace, name, uid) = match involved {
        Involved::Claim(claim) => {
            ("PersistentVolumeClaim", Some(claim.namespace.clone()), claim.name.clone(), claim.uid.clone())
        }
        Involved::Node { name, uid } => ("Node", None, name.clone(), uid.clone()),
        Involved::OwnPod => {
            let pod = reporter.own_pod.as_ref()?;
            ("Pod", Some(pod.namespace.clone()), pod.name.clone(), pod.uid.clone())
        }
    };
    Some(ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some(kind.to_owned()),
        namespace,
        name: Some(name),
        uid: Some(uid).filter(|uid| !uid.is_empty()),
        ..ObjectReference::default()
    })
}

fn object(event: &Event, message: &str, regarding: &ObjectReference, reporter: &Reporter) -> v1::Event {
    let about = cut(regarding.name.as_deref().unwrap_or_default(), LONGEST_NAME, "");
    let name = format!("{}.{:016x}", about.trim_end_matches(['.', '-']), random::<u64>());
    let namespace = regarding.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    v1::Event {
        metadata: ObjectMeta { name: Some(name), namespace: Some(namespace), ..ObjectMeta::default() },
        action: Some(event.reason.as_str().to_owned()),
        event_time: Some(MicroTime(Timestamp::now())),
        note: Some(cut(message, LONGEST_NOTE, "…")),
        reason: Some(event.reason.as_str().to_owned()),
        regarding: Some(regarding.clone()),
        reporting_controller: Some(reporter.component.to_owned()),
        reporting_instance: Some(reporter.instance.clone()),
        type_: Some(if event.reason.is_warning() { "Warning" } else { "Normal" }.to_owned()),
        ..v1::Event::default()
    }
}

/// At most `longest` bytes of `text`, with `end` where something was cut off.
fn cut(text: &str, longest: usize, end: &str) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let mut length = longest - end.len();
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    format!("{}{end}", &text[..length])
}
