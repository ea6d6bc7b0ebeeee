//! A RouterOS client: typed rows, print, add, set, remove and command over one transport trait.
