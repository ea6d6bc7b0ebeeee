//! `/metrics`, `/livez` and `/readyz`, answered from memory.

mod accept;
mod pieces;
mod text;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use csi_server::{Readiness, ReadyState};
use prometheus_client::encoding;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use accept::Format;
use pieces::Pieces;
use text::FromOpenMetrics;

/// A listener that nothing was answered on yet.
pub(crate) struct Http {
    listener: TcpListener,
}

/// What `/readyz` is made of.
#[derive(Clone)]
pub(crate) struct Health {
    /// Whether volumes can be served now.
    pub(crate) volumes: Readiness,
    /// Whether those who are to call the plugin can find it.
    pub(crate) registered: Readiness,
}

#[derive(Clone)]
struct Shown {
    registry: Arc<Registry>,
    health: Health,
    before_scrape: Option<BeforeScrape>,
}

/// Runs before each scrape is answered.
pub(crate) type BeforeScrape = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl Http {
    /// Listens on `address`.
    pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.with_context(|| format!("--metrics-address {address} cannot be listened on"))?;
        tracing::info!(address = %listener.local_addr()?, "metrics and health are served");
        Ok(Self { listener })
    }

    /// Answers for as long as it is polled.
    pub(crate) async fn serve(self, registry: Registry, health: Health, before_scrape: Option<BeforeScrape>) {
        let shown = Shown { registry: Arc::new(registry), health, before_scrape };
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .with_state(shown);
        if let Err(error) = axum::serve(self.listener, router).await {
            tracing::error!(%error, "metrics and health are served no longer");
        }
    }
}

async fn metrics(State(shown): State<Shown>, headers: HeaderMap) -> impl IntoResponse {
    if let Some(before_scrape) = &shown.before_scrape {
        before_scrape().await;
    }
    let format = Format::asked_for(&headers);
    let mut pieces = Pieces::default();
    let encoded = match format {
        Format::OpenMetrics => encoding::text::encode(&mut pieces, &shown.registry),
        Format::Text => encoding::text::encode(&mut FromOpenMetrics::to(&mut pieces), &shown.registry),
    };
    if let Err(error) = encoded {
        return Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string()));
    }
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (header::VARY, HeaderValue::from_static("accept")),
        (header::CONTENT_LENGTH, pieces.len().into()),
    ];
    Ok((head, pieces.into_body()))
}

/// Ready as soon as CSI is served to those who look for it, whatever the device does: otherwise rollouts and disruption
/// budgets would hang on an outage (attachments.md, Leadership). The text says how the device is. A node that its kubelet
/// does not know serves nobody: there a rollout has to stop.
async fn readyz(State(shown): State<Shown>) -> (StatusCode, String) {
    if let ReadyState::NotReady(reason) = shown.health.registered.state() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("not registered with the kubelet: {reason}\n"));
    }
    let text = match shown.health.volumes.state() {
        ReadyState::Ready => "ok\n".into(),
        ReadyState::NotReady(reason) => format!("ok, but volumes cannot be served: {reason}\n"),
    };
    (StatusCode::OK, text)
}
