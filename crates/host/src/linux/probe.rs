//! A target asked from user space: ICReq, then a Fabrics Connect to the admin queue (node.md rule 3).

mod pdu;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::{Connection, Probe};

use pdu::{Header, Verdict};

/// No PDU that answers a probe is longer: an ICResp has 128 bytes.
const MAX_PDU: usize = 1024;

/// Asks; an answer that does not come by the deadline is a target that is unreachable.
pub(super) async fn probe(connection: &Connection, deadline: Instant) -> Probe {
    let address = connection.address;
    match timeout_at(deadline, ask(connection)).await {
        Ok(Ok(Verdict::Accepted)) => Probe::Accepted,
        Ok(Ok(Verdict::NqnUnknown)) => Probe::NqnUnknown,
        Ok(Ok(Verdict::HostRefused)) => Probe::HostRefused,
        Ok(Ok(Verdict::Other(seen))) => Probe::Unreachable(format!("{address} answers, but {seen}")),
        Ok(Err(error)) => Probe::Unreachable(format!("{address}: {error}")),
        Err(_) => Probe::Unreachable(format!("{address}: no answer in time")),
    }
}

async fn ask(connection: &Connection) -> std::io::Result<Verdict> {
    let mut stream = TcpStream::connect(connection.address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&pdu::ic_req()).await?;
    let alignment = match pdu::parse_ic_resp(&read_pdu(&mut stream).await?) {
        Ok(alignment) => alignment,
        Err(seen) => return Ok(Verdict::Other(seen)),
    };
    let Some(connect) = pdu::connect(connection.nqn.as_str(), &connection.host, alignment) else {
        return Ok(Verdict::Other("the NQN or host NQN is longer than the protocol's 223 bytes".into()));
    };
    stream.write_all(&connect).await?;
    let verdict = pdu::parse_connect_response(&read_pdu(&mut stream).await?);
    // The association ends with the connection; the target frees it on our FIN.
    // One that has hung up already is as free, and its answer counts.
    let _ = stream.shutdown().await;
    Ok(verdict)
}

async fn read_pdu(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; pdu::COMMON_HEADER];
    stream.read_exact(&mut bytes).await?;
    let malformed = || std::io::Error::other("what answers does not speak NVMe/TCP");
    let length = Header::parse(&bytes).ok_or_else(malformed)?.length;
    if !(pdu::COMMON_HEADER..=MAX_PDU).contains(&length) {
        return Err(malformed());
    }
    bytes.resize(length, 0);
    stream.read_exact(&mut bytes[pdu::COMMON_HEADER..]).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
