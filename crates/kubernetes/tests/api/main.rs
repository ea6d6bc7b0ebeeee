//! With a real control plane.
