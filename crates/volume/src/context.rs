//! The maps that travel through the CO: the volume context (from CreateVolume) and the publish
//! context (from ControllerPublishVolume). Keys of the Go driver are understood (requirements R31).

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use thiserror::Error;
use uuid::Uuid;

use crate::{Claim, DataAddress, HostIdentity, Nqn, Parameters, Tunables};

/// How a volume that is detached is kept from its old node (attachments.md, Modes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fencing {
    /// Exported only while attached, under an NQN that names the attachment.
    #[default]
    Generation,
    /// As `Generation`, and with the host's NQN as the device's allow list.
    HostNqn,
    /// Always exported under a fixed NQN, as the Go driver does.
    Off,
}

/// What a volume was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeContext {
    /// The data address of the volume's device, where the class named one: `nvmeAddress`, `nvmePort`.
    pub address: Option<DataAddress>,
    /// `createdBytes`: the size in bytes at creation; the marker of node.md rule 9 lies at its end.
    pub created_bytes: Option<u64>,
    /// `volumePath`: the base path of the image.
    pub volume_path: Option<String>,
    /// Connection tunables of the class.
    pub tunables: Tunables,
    /// `migrationTimeoutSeconds` of the class.
    pub migration_timeout: Option<u32>,
    /// `csi.storage.k8s.io/…`: PVC and PV names for events, where no PV was there yet.
    pub metadata: BTreeMap<String, String>,
}

/// What one attachment is reached by. A retried publish answers the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishContext {
    /// `nvme_nqn`: the subsystem, naming the generation.
    pub nqn: Nqn,
    /// `nvme_address` and `nvme_port`.
    pub address: DataAddress,
    /// `host_nqn` and `host_id`; absent in contexts of the Go driver, then the node keeps its own.
    pub host: Option<HostIdentity>,
    /// `size_bytes`: the volume's size when published, in bytes; a smaller device is refused.
    pub size_bytes: Option<u64>,
    /// `published_as_block`: it may hold a raw user's data that no superblock tells of.
    pub published_as_block: bool,
    /// `pvc_namespace`, `pvc_name`, `pvc_uid`: where a node's events go (R13); absent where no PV names a claim.
    pub claim: Option<Claim>,
}

/// A context that does not parse: it names its key, so INVALID_ARGUMENT can say where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{map} key {key:?}: {problem}")]
pub struct ContextError {
    /// `volume_context` or `publish_context`.
    pub map: &'static str,
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong with its value.
    pub problem: String,
}

type Map = HashMap<String, String>;

impl VolumeContext {
    /// The context of a volume made with these parameters.
    #[must_use]
    pub fn new(
        parameters: &Parameters,
        address: DataAddress,
        volume_path: String,
        created_bytes: u64,
    ) -> Self {
        Self {
            address: Some(address),
            created_bytes: Some(created_bytes),
            volume_path: Some(volume_path),
            tunables: parameters.tunables,
            migration_timeout: parameters.migration_timeout,
            metadata: parameters.metadata.clone(),
        }
    }

    /// The map for the wire.
    #[must_use]
    pub fn to_map(&self) -> Map {
        let mut map: Map = self.metadata.clone().into_iter().collect();
        let mut put = |key: &str, value: Option<String>| value.map(|value| map.insert(key.to_owned(), value));
        put("nvmeAddress", self.address.as_ref().map(|address| address.host.clone()));
        put("nvmePort", self.address.as_ref().map(|address| address.port.to_string()));
        put("volumePath", self.volume_path.clone());
        put("createdBytes", self.created_bytes.map(|bytes| bytes.to_string()));
        put("migrationTimeoutSeconds", self.migration_timeout.map(|seconds| seconds.to_string()));
        for (key, value) in self.tunables.entries() {
            put(key, Some(value));
        }
        map
    }

    /// Reads the map. Unknown keys are left alone: later versions and the CO add their own.
    ///
    /// # Errors
    /// A known key with a value that cannot be.
    pub fn parse(map: &Map) -> Result<Self, ContextError> {
        let read = Reader { name: "volume_context", map };
        let mut context = Self {
            created_bytes: read.parsed("createdBytes")?,
            volume_path: map.get("volumePath").cloned(),
            address: read.address("nvmeAddress", "nvmePort")?,
            migration_timeout: read.parsed("migrationTimeoutSeconds")?,
            ..Self::default()
        };
        for key in ["ctrlLossTmo", "reconnectDelay", "keepAliveTmo", "nrIoQueues", "fastIoFailTmo"] {
            if let Some(value) = map.get(key) {
                context.tunables.set(key, value).map_err(|problem| read.error(key, problem))?;
            }
        }
        let metadata = map.iter().filter(|(key, _)| key.starts_with("csi.storage.k8s.io/"));
        context.metadata = metadata.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(context)
    }
}

impl PublishContext {
    /// The map for the wire.
    #[must_use]
    pub fn to_map(&self) -> Map {
        let mut map = Map::from([
            ("nvme_nqn".to_owned(), self.nqn.to_string()),
            ("nvme_address".to_owned(), self.address.host.clone()),
            ("nvme_port".to_owned(), self.address.port.to_string()),
            ("published_as_block".to_owned(), self.published_as_block.to_string()),
        ]);
        if let Some(host) = &self.host {
            map.insert("host_nqn".to_owned(), host.nqn.clone());
            map.insert("host_id".to_owned(), host.id.to_string());
        }
        if let Some(bytes) = self.size_bytes {
            map.insert("size_bytes".to_owned(), bytes.to_string());
        }
        if let Some(claim) = &self.claim {
            map.insert("pvc_namespace".to_owned(), claim.namespace.clone());
            map.insert("pvc_name".to_owned(), claim.name.clone());
            map.insert("pvc_uid".to_owned(), claim.uid.clone());
        }
        map
    }

    /// Reads the map. Without `published_as_block` (a context of the Go driver) nothing is known
    /// of the volume's past, so it counts as published as block: never formatted.
    ///
    /// # Errors
    /// A required key that is missing, or a value that cannot be.
    pub fn parse(map: &Map) -> Result<Self, ContextError> {
        let read = Reader { name: "publish_context", map };
        let nqn = map.get("nvme_nqn").ok_or_else(|| read.error("nvme_nqn", "missing"))?;
        let address = read.address("nvme_address", "nvme_port")?;
        Ok(Self {
            nqn: Nqn::parse(nqn).map_err(|error| read.error("nvme_nqn", error.to_string()))?,
            address: address.ok_or_else(|| read.error("nvme_address", "missing"))?,
            host: read.host()?,
            size_bytes: read.parsed("size_bytes")?,
            published_as_block: read.parsed("published_as_block")?.unwrap_or(true),
            claim: read.claim(),
        })
    }
}

struct Reader<'a> {
    name: &'static str,
    map: &'a Map,
}

impl Reader<'_> {
    fn error(&self, key: &'static str, problem: impl Into<String>) -> ContextError {
        ContextError { map: self.name, key, problem: problem.into() }
    }

    fn parsed<T: std::str::FromStr>(&self, key: &'static str) -> Result<Option<T>, ContextError> {
        let Some(text) = self.map.get(key) else { return Ok(None) };
        let wrong =
            |_| self.error(key, format!("{:?} is no valid value", text.chars().take(80).collect::<String>()));
        text.parse().map(Some).map_err(wrong)
    }

    fn address(&self, host: &'static str, port: &'static str) -> Result<Option<DataAddress>, ContextError> {
        let Some(text) = self.map.get(host) else { return Ok(None) };
        let default = DataAddress::parse("localhost").map_or(0, |address| address.port);
        let port = self.parsed(port)?.unwrap_or(default);
        DataAddress::new(text, port)
            .map(Some)
            .ok_or_else(|| self.error(host, "expected a host name or an IP address, and a port"))
    }

    /// Only for events: what is not whole is left out.
    fn claim(&self) -> Option<Claim> {
        let text = |key| self.map.get(key).filter(|text| !text.is_empty()).cloned();
        let (namespace, name) = (text("pvc_namespace")?, text("pvc_name")?);
        Some(Claim { namespace, name, uid: text("pvc_uid").unwrap_or_default() })
    }

    fn host(&self) -> Result<Option<HostIdentity>, ContextError> {
        let Some(id) = self.parsed::<Uuid>("host_id")? else { return Ok(None) };
        let host = HostIdentity::from_id(id);
        match self.map.get("host_nqn") {
            Some(nqn) if *nqn == host.nqn => Ok(Some(host)),
            _ => Err(self.error("host_nqn", "missing, or not that of host_id")),
        }
    }
}

impl Fencing {
    /// Reads `generation`, `host-nqn` or `off`.
    ///
    /// # Errors
    /// Any other word, with those that are known.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "generation" => Ok(Self::Generation),
            "host-nqn" => Ok(Self::HostNqn),
            "off" => Ok(Self::Off),
            other => Err(format!("{other:?} is no fencing mode: expected generation, host-nqn or off")),
        }
    }
}

impl fmt::Display for Fencing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Generation => "generation",
            Self::HostNqn => "host-nqn",
            Self::Off => "off",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_publish_context_round_trips(
            slot in "[a-z0-9]{1,30}", port in 1u16.., id: Option<u128>, size_bytes: Option<u64>, published_as_block: bool,
            claim in prop::option::of(("[a-z]{1,9}", "[a-z]{1,9}", "[a-f0-9-]{0,36}")),
        ) {
            let context = PublishContext {
                nqn: Nqn::parse(&format!("nqn.2000-02.com.mikrotik:{slot}")).unwrap(),
                address: DataAddress::new("rds.example", port).unwrap(),
                host: id.map(|id| HostIdentity::from_id(Uuid::from_u128(id))),
                size_bytes,
                published_as_block,
                claim: claim.map(|(namespace, name, uid)| Claim { namespace, name, uid }),
            };
            prop_assert_eq!(PublishContext::parse(&context.to_map()), Ok(context));
        }

        #[test]
        fn a_volume_context_round_trips(
            created_bytes: u64, loss in -1i32..=86_400, queues in prop::option::of(1u32..=128), timeout: Option<u32>,
        ) {
            let context = VolumeContext {
                address: DataAddress::new("fd00::1", 4420),
                created_bytes: Some(created_bytes),
                volume_path: Some("/raid10/csi".into()),
                tunables: Tunables { ctrl_loss_tmo: loss, nr_io_queues: queues, ..Tunables::default() },
                migration_timeout: timeout,
                metadata: [("csi.storage.k8s.io/pvc/name".to_owned(), "data".to_owned())].into(),
            };
            prop_assert_eq!(VolumeContext::parse(&context.to_map()), Ok(context));
        }

        #[test]
        fn parsing_never_panics(map: HashMap<String, String>, value in ".{0,40}") {
            let _ = (VolumeContext::parse(&map), PublishContext::parse(&map));
            for key in ["nvme_nqn", "nvme_address", "nvme_port", "host_id", "host_nqn", "size_bytes", "createdBytes"] {
                let map = HashMap::from([(key.to_owned(), value.clone())]);
                let _ = (VolumeContext::parse(&map), PublishContext::parse(&map));
            }
        }
    }

    #[test]
    fn a_context_of_the_go_driver_is_understood_and_never_formatted() {
        let map = [
            ("nvme_nqn", "nqn.2000-02.com.mikrotik:pvc-1"),
            ("nvme_address", "10.0.0.1"),
            ("fs_type", "ext4"),
        ];
        let map = map.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let context = PublishContext::parse(&map).unwrap();
        assert_eq!((context.address.port, context.host, context.published_as_block), (4420, None, true));
    }

    #[test]
    fn a_host_nqn_of_another_host_id_is_refused() {
        let mut map = HashMap::from([
            ("nvme_nqn".to_owned(), "nqn.2000-02.com.mikrotik:a".to_owned()),
            ("nvme_address".to_owned(), "10.0.0.1".to_owned()),
            ("host_id".to_owned(), Uuid::from_u128(1).to_string()),
        ]);
        map.insert("host_nqn".to_owned(), HostIdentity::from_id(Uuid::from_u128(2)).nqn);
        assert_eq!(PublishContext::parse(&map).unwrap_err().key, "host_nqn");
    }
}
