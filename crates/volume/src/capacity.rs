//! Sizes: plain bytes, rounded up to whole MiB, read back exactly.

use thiserror::Error;

/// One mebibyte in bytes: the granularity of every volume.
pub const MIB: u64 = 1 << 20;

/// What a request may ask of a volume's size, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The smallest volume that is made; smaller requests are raised to it.
    pub min: u64,
    /// The largest volume that is made.
    pub max: u64,
    /// The size of a volume whose request names none.
    pub default: u64,
}

/// A CSI capacity range as it came over the wire (CSI spec, `CapacityRange`): bytes, 0 is unset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapacityRange {
    /// The least size in bytes.
    pub required: i64,
    /// The greatest size in bytes.
    pub limit: i64,
}

/// Why no size fits a request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CapacityError {
    /// A negative size, both sizes unset, or a limit below what is required: INVALID_ARGUMENT.
    #[error("{0}")]
    Malformed(String),
    /// No whole number of MiB lies in the range and within the driver's limits: OUT_OF_RANGE.
    #[error("{0}")]
    OutOfRange(String),
}

/// Rounds bytes up to whole MiB; `None` where that does not fit 64 bits.
#[must_use]
pub fn round_up_to_mib(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(MIB)
}

impl CapacityRange {
    /// The size in bytes that a volume of this range gets.
    ///
    /// # Errors
    /// [`CapacityError`], whose variants name the gRPC code.
    pub fn choose(self, limits: Limits) -> Result<u64, CapacityError> {
        let (required, limit) = self.checked()?;
        let wanted = if required == 0 { limits.default.min(limit) } else { required };
        let size = round_up_to_mib(wanted.max(limits.min)).ok_or_else(|| {
            CapacityError::OutOfRange(format!("{required} bytes cannot be rounded up to whole MiB"))
        })?;
        if size > limits.max {
            return Err(CapacityError::OutOfRange(format!(
                "{size} bytes are asked for, but volumes have at most {} (raise --max-volume-size)",
                limits.max
            )));
        }
        if size > limit {
            return Err(CapacityError::OutOfRange(format!(
                "the smallest volume for {required} bytes has {size}, which is over the limit_bytes of {limit}; \
                 volumes are whole MiB of at least {} bytes",
                limits.min
            )));
        }
        Ok(size)
    }

    /// Whether a volume of `size` bytes satisfies this range.
    #[must_use]
    pub fn admits(self, size: u64) -> bool {
        let least = u64::try_from(self.required).unwrap_or(0);
        let most = u64::try_from(self.limit).ok().filter(|limit| *limit > 0).unwrap_or(u64::MAX);
        (least..=most).contains(&size)
    }

    /// Both ends in bytes, an unset limit as the largest number.
    fn checked(self) -> Result<(u64, u64), CapacityError> {
        let malformed = |text: String| Err(CapacityError::Malformed(text));
        let (Ok(required), Ok(limit)) = (u64::try_from(self.required), u64::try_from(self.limit)) else {
            return malformed(format!(
                "capacity_range must not be negative (required_bytes {}, limit_bytes {})",
                self.required, self.limit
            ));
        };
        match (required, limit) {
            (0, 0) => malformed("capacity_range names neither required_bytes nor limit_bytes".into()),
            (required, 0) => Ok((required, u64::MAX)),
            (required, limit) if limit < required => {
                malformed(format!("limit_bytes {limit} is below required_bytes {required}"))
            }
            both => Ok(both),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { min: 16 * MIB, max: 1 << 44, default: 1 << 30 };

    fn choose(required: i64, limit: i64) -> Result<u64, CapacityError> {
        CapacityRange { required, limit }.choose(LIMITS)
    }

    #[test]
    fn sizes_are_whole_mebibytes_at_least_as_large_as_asked() {
        assert_eq!(choose(100 * 1024 * 1024 + 1, 0), Ok(101 * MIB));
        assert_eq!(choose(1, 0), Ok(16 * MIB));
        assert_eq!(choose(0, 1 << 31), Ok(1 << 30));
        assert_eq!(choose(0, 20 << 20), Ok(20 << 20));
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_its_code() {
        for (required, limit) in [(-1, 0), (0, -1), (0, 0), (1 << 30, 1 << 29)] {
            assert!(
                matches!(choose(required, limit), Err(CapacityError::Malformed(_))),
                "{required} {limit}"
            );
        }
        for (required, limit) in [(i64::MAX, 0), (1, 1), ((1 << 30) + 1, (1 << 30) + 2), ((1 << 44) + 1, 0)] {
            assert!(
                matches!(choose(required, limit), Err(CapacityError::OutOfRange(_))),
                "{required} {limit}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_chosen_size_is_admitted_by_its_own_range(required: i64, limit: i64) {
            let range = CapacityRange { required, limit };
            if let Ok(size) = range.choose(LIMITS) {
                prop_assert!(range.admits(size) && size.is_multiple_of(MIB));
            }
        }
    }
}
