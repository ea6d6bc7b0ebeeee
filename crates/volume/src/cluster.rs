//! Which cluster a volume belongs to.

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The longest cluster id that is accepted, in bytes: a UUID with room for a readable name.
const MAX_CLUSTER_ID: usize = 128;

/// The cluster's own name for itself: `--cluster-id`, or the UID of the namespace `kube-system`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterId(String);

/// Not a cluster id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cluster id {0:?} must be 1 to {MAX_CLUSTER_ID} printable ASCII characters without spaces")]
pub struct ClusterIdError(String);

/// The mark of a cluster on a device: the first 32 bits of the SHA-256 of its id, as 8 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterHash([u8; 4]);

impl ClusterId {
    /// Checks a cluster id.
    ///
    /// # Errors
    /// Where it is empty, too long, or holds anything but printable ASCII.
    pub fn parse(text: &str) -> Result<Self, ClusterIdError> {
        let fits =
            (1..=MAX_CLUSTER_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned())).ok_or_else(|| ClusterIdError(text.chars().take(160).collect()))
    }

    /// The mark that volumes of this cluster carry.
    #[must_use]
    pub fn hash(&self) -> ClusterHash {
        let digest = Sha256::digest(self.0.as_bytes());
        ClusterHash([digest[0], digest[1], digest[2], digest[3]])
    }

    /// The id as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ClusterHash {
    /// Reads 8 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for ClusterHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ClusterHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
