//! The methods that there are, so that a label of a metric can only be one of them.

/// Every method of the CSI specification, as on the wire.
const METHODS: &[&str] = &[
    "/csi.v1.Identity/GetPluginInfo",
    "/csi.v1.Identity/GetPluginCapabilities",
    "/csi.v1.Identity/Probe",
    "/csi.v1.Controller/CreateVolume",
    "/csi.v1.Controller/DeleteVolume",
    "/csi.v1.Controller/ControllerPublishVolume",
    "/csi.v1.Controller/ControllerUnpublishVolume",
    "/csi.v1.Controller/ValidateVolumeCapabilities",
    "/csi.v1.Controller/ListVolumes",
    "/csi.v1.Controller/ControllerListVolumeHealth",
    "/csi.v1.Controller/ControllerGetVolumeHealth",
    "/csi.v1.Controller/GetCapacity",
    "/csi.v1.Controller/ControllerGetCapabilities",
    "/csi.v1.Controller/CreateSnapshot",
    "/csi.v1.Controller/DeleteSnapshot",
    "/csi.v1.Controller/ListSnapshots",
    "/csi.v1.Controller/GetSnapshot",
    "/csi.v1.Controller/ControllerExpandVolume",
    "/csi.v1.Controller/ControllerGetVolume",
    "/csi.v1.Controller/ControllerModifyVolume",
    "/csi.v1.GroupController/GroupControllerGetCapabilities",
    "/csi.v1.GroupController/CreateVolumeGroupSnapshot",
    "/csi.v1.GroupController/DeleteVolumeGroupSnapshot",
    "/csi.v1.GroupController/GetVolumeGroupSnapshot",
    "/csi.v1.SnapshotMetadata/GetMetadataAllocated",
    "/csi.v1.SnapshotMetadata/GetMetadataDelta",
    "/csi.v1.Node/NodeStageVolume",
    "/csi.v1.Node/NodeUnstageVolume",
    "/csi.v1.Node/NodePublishVolume",
    "/csi.v1.Node/NodeUnpublishVolume",
    "/csi.v1.Node/NodeGetVolumeStats",
    "/csi.v1.Node/NodeGetVolumeHealth",
    "/csi.v1.Node/NodeGetStorageHealth",
    "/csi.v1.Node/NodeExpandVolume",
    "/csi.v1.Node/NodeGetCapabilities",
    "/csi.v1.Node/NodeGetInfo",
];

/// A method's path as a label: a client may call anything, and each label costs memory until the process ends.
pub(super) fn label(path: &str) -> &'static str {
    METHODS.iter().find(|method| **method == path).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The methods by the specification's own text.
    fn specified() -> Vec<String> {
        let (mut service, mut methods) = ("", Vec::new());
        for line in include_str!("../../../csi-grpc/proto/csi.proto").lines() {
            let mut words = line.split([' ', '(']).filter(|word| !word.is_empty());
            match (words.next(), words.next()) {
                (Some("service"), Some(name)) => service = name,
                (Some("rpc"), Some(name)) => methods.push(format!("/csi.v1.{service}/{name}")),
                _ => {}
            }
        }
        methods
    }

    #[test]
    fn every_method_of_the_specification_has_its_label_and_no_other_path_has_one() {
        let specified = specified();
        assert_eq!(METHODS, specified);
        for method in &specified {
            assert_eq!(label(method), method);
        }
        for other in ["", "/", "/csi.v1.Node/Nothing", "/csi.v1.Controller/CreateVolume/", "CreateVolume"] {
            assert_eq!(label(other), "unknown", "{other:?}");
        }
    }
}
