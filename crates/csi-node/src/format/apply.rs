//! Makes a file system so that a crash anywhere in it is told from data at the next look.

use host::{Content, Device, Host, Mkfs, Range, Result, Volume};
use volume::{FsType, MIB};

use super::superblock::HEAD_BYTES;
use super::{Intent, marker, probes};

/// Bytes of zeros written at once.
const CHUNK: u64 = MIB;

/// Makes the file system of a device that was proven blank.
///
/// # Errors
/// The device's or the tool's; the next look finds a blank device or our own unfinished mkfs.
pub(crate) async fn make<H: Host>(
    host: &H,
    volume: Volume<'_>,
    device: &Device,
    intent: &Intent,
) -> Result<()> {
    let uuid = intent.uuid();
    match intent.fs {
        FsType::Xfs => host.mkfs(volume, device, &Mkfs { fs: FsType::Xfs, uuid, bytes: None }).await,
        FsType::Ext4 => {
            let place = intent.marker_range().offset;
            host.write(volume, device, place, &marker::marker(&intent.slot, uuid)).await?;
            let mkfs = Mkfs { fs: FsType::Ext4, uuid, bytes: Some(intent.ext4_bytes()) };
            host.mkfs(volume, device, &mkfs).await?;
            host.write(volume, device, place, &marker::cleared()).await
        }
    }
}

/// Makes our own unfinished ext4 again: the marker stays as proof until it is whole.
///
/// # Errors
/// As [`make`].
pub(crate) async fn remake_ext4<H: Host>(
    host: &H,
    volume: Volume<'_>,
    device: &Device,
    intent: &Intent,
) -> Result<()> {
    zero(host, volume, device, Range { offset: 0, length: HEAD_BYTES }).await?;
    make(host, volume, device, intent).await
}

/// Makes our own unfinished xfs again. Its superblock is the proof, so it goes last: whatever else
/// is in the probed places is zeroed before, and a crash in between leaves the proof or a blank device.
///
/// # Errors
/// As [`make`].
pub(crate) async fn remake_xfs<H: Host>(
    host: &H,
    volume: Volume<'_>,
    device: &Device,
    intent: &Intent,
) -> Result<()> {
    for place in probes::places(intent.created, intent.bytes).iter().rev() {
        let from = place.offset.max(HEAD_BYTES);
        let length = (place.offset + place.length).saturating_sub(from);
        let rest = Range { offset: from, length };
        // Sparse places stay sparse.
        if length > 0 && host.scan(volume, device, &[rest]).await? != Content::Zero {
            zero(host, volume, device, rest).await?;
        }
    }
    zero(host, volume, device, Range { offset: 4096, length: HEAD_BYTES - 4096 }).await?;
    zero(host, volume, device, Range { offset: 0, length: 4096 }).await?;
    make(host, volume, device, intent).await
}

/// Zeroes a range from its end to its start, so that what identifies it goes last.
async fn zero<H: Host>(host: &H, volume: Volume<'_>, device: &Device, range: Range) -> Result<()> {
    let mut end = range.offset + range.length;
    while end > range.offset {
        let length = CHUNK.min(end - range.offset);
        end -= length;
        let zeros = vec![0; usize::try_from(length).unwrap_or_default()];
        host.write(volume, device, end, &zeros).await?;
    }
    Ok(())
}
