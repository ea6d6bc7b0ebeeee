//! Any CSI driver's plumbing: unix endpoint, per-call span, metrics, deadline and redaction, in-flight guard.
