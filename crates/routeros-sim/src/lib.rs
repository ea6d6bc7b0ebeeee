//! A RouterOS 7.24 device with ROSE storage, simulated on the wire.
