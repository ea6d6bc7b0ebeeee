//! Reads what [`super::plan`] decides by.

use host::{Content, Device, Host, Range, Result, Volume};

use super::superblock::{HEAD_BYTES, Superblock};
use super::{Intent, Observation, marker, probes, signature, superblock};

/// Reads the superblock and the marker: enough to decide about everything but a blank device.
///
/// # Errors
/// What could not be read: it is not zero.
pub(crate) async fn observe<H: Host>(
    host: &H,
    volume: Volume<'_>,
    device: &Device,
    intent: &Intent,
) -> Result<Observation> {
    let head = Range { offset: 0, length: HEAD_BYTES.min(intent.bytes / 4096 * 4096) };
    let head = host.read(volume, device, head).await?;
    let block = host.read(volume, device, intent.marker_range()).await?;
    Ok(Observation {
        superblock: superblock::read(&head),
        mark: marker::read(&block, &intent.slot, intent.uuid()),
        content: None,
        looks_like: None,
    })
}

/// Adds what a scan found, and what that looks like.
///
/// # Errors
/// As [`observe`].
pub(crate) async fn with_content<H: Host>(
    host: &H,
    volume: Volume<'_>,
    device: &Device,
    observation: Observation,
    content: Content,
) -> Result<Observation> {
    let looks_like = looks_like(host, volume, device, content).await?;
    Ok(Observation { content: Some(content), looks_like, ..observation })
}

/// Looks for anything but zeros in the probed places, or everywhere in a volume that was published as block.
///
/// # Errors
/// As [`observe`]; [`host::ErrorKind::Abandoned`] while it goes on.
pub(crate) async fn scan<H: Host>(
    host: &H,
    volume: Volume<'_>,
    device: &Device,
    intent: &Intent,
) -> Result<Content> {
    let places = match intent.published_as_block {
        true => probes::everything(intent.bytes),
        false => probes::places(intent.created, intent.bytes),
    };
    host.scan(volume, device, &places).await
}

/// Reads only the superblock: the size of what is mounted.
///
/// # Errors
/// As [`observe`].
pub(crate) async fn superblock<H: Host>(host: &H, volume: Volume<'_>, device: &Device) -> Result<Superblock> {
    let head = host.read(volume, device, Range { offset: 0, length: HEAD_BYTES }).await?;
    Ok(superblock::read(&head))
}

async fn looks_like<H: Host>(
    host: &H,
    volume: Volume<'_>,
    device: &Device,
    content: Content,
) -> Result<Option<&'static str>> {
    let Content::Data(offset) = content else { return Ok(None) };
    let range = Range { offset: offset / 4096 * 4096, length: 4096 };
    Ok(signature::of(&host.read(volume, device, range).await?))
}
