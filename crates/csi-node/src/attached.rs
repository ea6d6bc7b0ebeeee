//! The look-up (node.md rule 1): which device, if any, is this volume now. By exact NQN, never by a
//! remembered name.

use host::{Controller, ControllerState, Device, Subsystem};
use volume::{NqnPrefix, Slot};

/// RouterOS exports each disk as the only namespace of its subsystem (routeros.md).
const NAMESPACE: u32 = 1;

/// A volume that is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// The device of the multipath head.
    pub(crate) device: Device,
    /// Its size in bytes.
    pub(crate) bytes: u64,
}

/// What stands between an NQN and its device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Hindrance {
    #[error("no controller of {nqn} is connected")]
    NoController { nqn: String },
    #[error(
        "controller {controller} of {nqn} is {state}, not live; it is tried again until ctrl_loss_tmo is over"
    )]
    NotLive { nqn: String, controller: String, state: String },
    #[error(
        "controller {controller} of {nqn} is live, but the kernel shows no namespace 1 of it, after a rescan too: \
         another connection may hold the same identity (dmesg says duplicate IDs)"
    )]
    NoNamespace { nqn: String, controller: String },
    #[error(
        "{device} of {nqn} has {bytes} bytes, less than the {least} of the volume: nothing is done with it"
    )]
    TooSmall { nqn: String, device: Device, bytes: u64, least: u64 },
}

/// Finds the device of `nqn`: a live controller, namespace 1, and at least `least` bytes.
///
/// # Errors
/// What stands in the way.
pub(crate) fn look_up(subsystems: &[Subsystem], nqn: &str, least: u64) -> Result<Attached, Hindrance> {
    let controllers = controllers(subsystems, nqn);
    let named = || nqn.to_owned();
    let Some(first) = controllers.first() else { return Err(Hindrance::NoController { nqn: named() }) };
    let Some(live) = controllers.iter().find(|controller| controller.state == ControllerState::Live) else {
        let (controller, state) = (first.name.clone(), state_name(&first.state));
        return Err(Hindrance::NotLive { nqn: named(), controller, state });
    };
    let namespace = subsystems
        .iter()
        .filter(|subsystem| subsystem.nqn == nqn)
        .flat_map(|subsystem| &subsystem.namespaces)
        .find(|namespace| namespace.id == NAMESPACE);
    let Some(namespace) = namespace else {
        return Err(Hindrance::NoNamespace { nqn: named(), controller: live.name.clone() });
    };
    if namespace.bytes < least {
        let (device, bytes) = (namespace.device.clone(), namespace.bytes);
        return Err(Hindrance::TooSmall { nqn: named(), device, bytes, least });
    }
    Ok(Attached { device: namespace.device.clone(), bytes: namespace.bytes })
}

/// The controllers of an NQN, in any state.
pub(crate) fn controllers<'a>(subsystems: &'a [Subsystem], nqn: &str) -> Vec<&'a Controller> {
    subsystems
        .iter()
        .filter(|subsystem| subsystem.nqn == nqn)
        .flat_map(|subsystem| &subsystem.controllers)
        .collect()
}

/// The names of the live controllers of an NQN.
pub(crate) fn live_controllers<'a>(subsystems: &'a [Subsystem], nqn: &str) -> Vec<&'a str> {
    let live = controllers(subsystems, nqn).into_iter().filter(|one| one.state == ControllerState::Live);
    live.map(|controller| controller.name.as_str()).collect()
}

/// The subsystems of a volume under any generation of exactly this prefix, with controllers or not.
pub(crate) fn of_slot<'a>(
    subsystems: &'a [Subsystem],
    prefix: &NqnPrefix,
    slot: &Slot,
) -> Vec<&'a Subsystem> {
    let ours = |nqn: &str| prefix.slot_of(nqn).is_some_and(|(named, _)| named == *slot);
    subsystems.iter().filter(|subsystem| ours(&subsystem.nqn)).collect()
}

/// The subsystem that a device number belongs to.
pub(crate) fn owner(subsystems: &[Subsystem], number: (u32, u32)) -> Option<&Subsystem> {
    subsystems
        .iter()
        .find(|subsystem| subsystem.namespaces.iter().any(|namespace| namespace.device.number() == number))
}

/// The device number, which is what is compared.
pub(crate) trait Number {
    /// Major and minor.
    fn number(&self) -> (u32, u32);
}

impl Number for Device {
    fn number(&self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

fn state_name(state: &ControllerState) -> String {
    match state {
        ControllerState::Live => "live".into(),
        ControllerState::Reconnecting => "reconnecting".into(),
        ControllerState::Deleting => "being deleted".into(),
        ControllerState::Other(word) => format!("{word:?}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use host::Namespace;

    const NQN: &str = "nqn.test:vol";
    const MIB: u64 = 1 << 20;

    fn subsystem(states: &[ControllerState], namespace: Option<u32>) -> Subsystem {
        let controller = |(number, state): (usize, &ControllerState)| Controller {
            name: format!("nvme{number}"),
            state: state.clone(),
            address: String::new(),
        };
        let device = Device { name: "nvme0n1".into(), major: 259, minor: 5, nqn: Some(NQN.into()) };
        Subsystem {
            nqn: NQN.into(),
            controllers: states.iter().enumerate().map(controller).collect(),
            namespaces: namespace.map(|id| Namespace { id, device, bytes: MIB }).into_iter().collect(),
        }
    }

    #[test]
    fn a_volume_is_its_first_namespace_behind_any_live_controller() {
        use ControllerState::{Deleting, Live, Other, Reconnecting};
        let unknown = || Other("unknown".into());
        for (states, namespace, stands_in_the_way) in [
            (vec![], Some(1), Some("no controller")),
            (vec![Live], Some(1), None),
            (vec![Live], None, Some("shows no namespace 1")),
            (vec![Live], Some(2), Some("shows no namespace 1")),
            (vec![Reconnecting], Some(1), Some("nvme0 of nqn.test:vol is reconnecting")),
            (vec![Deleting], Some(1), Some("is being deleted")),
            (vec![unknown()], Some(1), Some("is \"unknown\"")),
            // Two controllers of one subsystem, as after a duplicate_connect (node.md K12).
            (vec![Reconnecting, Live], Some(1), None),
            (vec![Deleting, Live], Some(1), None),
            (vec![Deleting, Reconnecting], Some(1), Some("nvme0 of nqn.test:vol is being deleted")),
            (vec![Reconnecting, Live], None, Some("controller nvme1 of nqn.test:vol is live, but")),
        ] {
            let found = look_up(&[subsystem(&states, namespace)], NQN, MIB);
            let said = found.as_ref().err().map(Hindrance::to_string);
            match stands_in_the_way {
                None => assert_eq!(found.unwrap().device.minor, 5, "{states:?}"),
                Some(why) => assert!(said.unwrap().contains(why), "{states:?} {namespace:?}"),
            }
        }
        let smaller = look_up(&[subsystem(&[Live], Some(1))], NQN, MIB + 1).unwrap_err();
        assert!(matches!(smaller, Hindrance::TooSmall { .. }));
    }
}
