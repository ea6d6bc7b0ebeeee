//! The control plane itself: that it is real, keeps what it acknowledged, and ends with whoever started it.
