//! Who may have a volume: pure decisions over the device's record.
