//! `rds-csi declare-fenced`: the operator's side.

use std::time::Duration;

use anyhow::{Context, anyhow};
use csi_server::Endpoint;
use tonic::{Code, Request, Status, transport};

use super::v1::DeclareFencedRequest;
use super::v1::operator_client::OperatorClient;
use crate::arguments::operator::DeclareFencedArguments;
use crate::failure::Failure;
use crate::runtime;

/// A node reads one file and sysfs for its answer; one that needs longer hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs `rds-csi declare-fenced` to its end; the answer goes to stdout.
pub(crate) fn run(arguments: DeclareFencedArguments) -> Result<(), Failure> {
    let DeclareFencedArguments { endpoint, volume } = arguments;
    runtime::run(|_| async move {
        let nqns = ask(&endpoint, volume.as_str()).await.map_err(Failure::Serving)?;
        println!("{}", answer(volume.as_str(), &nqns));
        Ok(())
    })
}

async fn ask(endpoint: &Endpoint, volume_id: &str) -> anyhow::Result<Vec<String>> {
    let channel = transport::Endpoint::new(endpoint.to_string())?.connect_timeout(TIMEOUT).connect().await;
    let channel = channel.with_context(|| format!("no plugin answers at {endpoint}: does the node run?"))?;
    let mut request = Request::new(DeclareFencedRequest { volume_id: volume_id.to_owned() });
    request.set_timeout(TIMEOUT);
    let answered = OperatorClient::new(channel).declare_fenced(request).await;
    Ok(answered.map_err(|status| refusal(endpoint, &status))?.into_inner().nqns)
}

fn refusal(endpoint: &Endpoint, status: &Status) -> anyhow::Error {
    match status.code() {
        Code::Unimplemented => anyhow!("the plugin at {endpoint} is no node of this driver"),
        _ => anyhow!("nothing was declared, or it is not known: {}", status.message()),
    }
}

fn answer(volume: &str, nqns: &[String]) -> String {
    if nqns.is_empty() {
        return format!("volume {volume} is not attached to this node: nothing was declared fenced");
    }
    format!(
        "declared fenced: {}\ntheir unwritten data will be dropped at the next unstage of volume {volume}",
        nqns.join(", ")
    )
}
