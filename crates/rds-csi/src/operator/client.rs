//! `rds-csi declare-fenced` and `rds-csi retry-now`: the operator's side.

use std::time::Duration;

use anyhow::{Context, anyhow};
use csi_server::Endpoint;
use tonic::{Code, Request, Status, transport};

use super::v1::operator_client::OperatorClient;
use super::v1::{DeclareFencedRequest, RetryNowRequest};
use crate::arguments::operator::OperatorArguments;
use crate::failure::Failure;
use crate::runtime;

/// A node reads one file and sysfs for its answer; one that needs longer hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs `rds-csi declare-fenced` to its end; the answer goes to stdout.
pub(crate) fn declare_fenced(arguments: OperatorArguments) -> Result<(), Failure> {
    let OperatorArguments { endpoint, volume } = arguments;
    answered(async move {
        let request = request(DeclareFencedRequest { volume_id: volume.to_string() });
        let response = client(&endpoint).await?.declare_fenced(request).await;
        let nqns = response.map_err(|status| refusal(&endpoint, &status))?.into_inner().nqns;
        Ok(fenced(volume.as_str(), &nqns))
    })
}

/// Runs `rds-csi retry-now` to its end; the answer goes to stdout.
pub(crate) fn retry_now(arguments: OperatorArguments) -> Result<(), Failure> {
    let OperatorArguments { endpoint, volume } = arguments;
    answered(async move {
        let request = request(RetryNowRequest { volume_id: volume.to_string() });
        let response = client(&endpoint).await?.retry_now(request).await;
        let failures = response.map_err(|status| refusal(&endpoint, &status))?.into_inner().failures;
        Ok(match failures {
            0 => format!("volume {volume} is not left alone on this node: nothing was changed"),
            _ => format!(
                "volume {volume}, which failed {failures} times in a row, is tried at the kubelet's next call"
            ),
        })
    })
}

fn answered(asking: impl Future<Output = anyhow::Result<String>>) -> Result<(), Failure> {
    runtime::run(|_| async move {
        println!("{}", asking.await.map_err(Failure::Serving)?);
        Ok(())
    })
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIMEOUT);
    request
}

async fn client(endpoint: &Endpoint) -> anyhow::Result<OperatorClient<transport::Channel>> {
    let channel = transport::Endpoint::new(endpoint.to_string())?.connect_timeout(TIMEOUT).connect().await;
    let channel = channel.with_context(|| format!("no plugin answers at {endpoint}: does the node run?"))?;
    Ok(OperatorClient::new(channel))
}

fn refusal(endpoint: &Endpoint, status: &Status) -> anyhow::Error {
    match status.code() {
        Code::Unimplemented => {
            anyhow!("the plugin at {endpoint} is no node of this driver, or of another version")
        }
        _ => anyhow!("nothing was changed, or it is not known: {}", status.message()),
    }
}

fn fenced(volume: &str, nqns: &[String]) -> String {
    if nqns.is_empty() {
        return format!("volume {volume} is not attached to this node: nothing was declared fenced");
    }
    format!(
        "declared fenced: {}\ntheir unwritten data will be dropped at the next unstage of volume {volume}",
        nqns.join(", ")
    )
}
