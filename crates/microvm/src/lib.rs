//! Test support: guests with a real kernel.
