//! The Linux node: NVMe over fabrics, block devices, file systems, mounts and helper processes.
