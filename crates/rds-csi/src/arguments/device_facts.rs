//! What is known of the box, beyond what every RouterOS is known to do (attachments.md, "Modes
//! and what was shown of the device"). Whatever is not said is taken the cautious way.

use std::str::FromStr;

/// One thing that `rds-csi doctor`, or its owner, has found out about the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceFact {
    /// Unexporting returns only when accepted writes have landed: no settling is needed.
    UnexportDrains,
    /// Requests of one user are carried out in the order of their arrival: a read is a barrier.
    OrderFifo,
    /// `nvme-tcp-server-allow-host-name` takes a comma-separated list.
    AllowListComma,
}

/// All that is known of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceFacts {
    pub(crate) unexport_drains: bool,
    pub(crate) order_fifo: bool,
    pub(crate) allow_list_comma: bool,
}

const KNOWN: [(&str, DeviceFact); 3] = [
    ("unexport=drains", DeviceFact::UnexportDrains),
    ("order=fifo", DeviceFact::OrderFifo),
    ("allow-list=comma", DeviceFact::AllowListComma),
];

impl FromStr for DeviceFact {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = KNOWN.iter().find(|(name, _)| *name == text);
        known.map(|(_, fact)| *fact).ok_or_else(|| {
            let names = KNOWN.map(|(name, _)| name).join(", ");
            format!("nothing that can be known of a device; expected one of {names}")
        })
    }
}

impl FromIterator<DeviceFact> for DeviceFacts {
    fn from_iter<I: IntoIterator<Item = DeviceFact>>(facts: I) -> Self {
        facts.into_iter().fold(Self::default(), |known, fact| match fact {
            DeviceFact::UnexportDrains => Self { unexport_drains: true, ..known },
            DeviceFact::OrderFifo => Self { order_fifo: true, ..known },
            DeviceFact::AllowListComma => Self { allow_list_comma: true, ..known },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn nothing_is_taken_for_known_that_was_not_said() {
        assert_eq!(DeviceFacts::from_iter([]), DeviceFacts::default());
        let all: DeviceFacts = KNOWN.iter().map(|(name, _)| name.parse::<DeviceFact>().unwrap()).collect();
        assert_eq!(all, DeviceFacts { unexport_drains: true, order_fifo: true, allow_list_comma: true });
        for text in ["", "unexport", "unexport=", "unexport=fast", "Order=fifo", "order=fifo ", "boot=x"] {
            assert!(
                text.parse::<DeviceFact>().unwrap_err().contains("unexport=drains, order=fifo"),
                "{text}"
            );
        }
    }
}
