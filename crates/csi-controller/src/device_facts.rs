//! What was shown of the device (`--device name=value`); what was not is taken from its cautious side.

use attachment::AllowList;
use thiserror::Error;

/// When the answer to an unexport comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unexport {
    /// Before all that was accepted has landed, or nobody knows: wait out the settle.
    #[default]
    Early,
    /// After all that was accepted has landed: no settle.
    Drains,
}

/// In which order the requests of one user are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Nobody knows: after an unknown outcome only the device's cap of 60 s ends the doubt.
    #[default]
    Unknown,
    /// As they came: a read that is answered was preceded by all that was sent before.
    Fifo,
}

/// How a connected host learns that a disk has grown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Growth {
    /// Nobody knows: the disk is grown, and the node looks whether it can see it.
    #[default]
    Unknown,
    /// By asking, or it is told.
    Live,
    /// At the next export only.
    ReExport,
}

/// What is known of the device, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// `unexport=early|drains`
    pub unexport: Unexport,
    /// `order=unknown|fifo`
    pub order: Order,
    /// `allow-list=unproven|one|comma`
    pub allow_list: AllowList,
    /// `growth=unknown|live|re-export`
    pub growth: Growth,
}

/// A fact that is not one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("--device {given:?} is not known; expected one of {ALLOWED}")]
pub struct DeviceFactError {
    given: String,
}

const ALLOWED: &str =
    "unexport=early|drains, order=unknown|fifo, allow-list=unproven|one|comma, growth=unknown|live|re-export";

impl DeviceFacts {
    /// Takes facts as `name=value`, later ones over earlier ones.
    ///
    /// # Errors
    /// The first that is unknown, with all that are known.
    pub fn parse<'a>(facts: impl IntoIterator<Item = &'a str>) -> Result<Self, DeviceFactError> {
        let mut known = Self::default();
        for fact in facts {
            known.set(fact).ok_or_else(|| DeviceFactError { given: fact.chars().take(80).collect() })?;
        }
        Ok(known)
    }

    fn set(&mut self, fact: &str) -> Option<()> {
        match fact.split_once('=')? {
            ("unexport", "early") => self.unexport = Unexport::Early,
            ("unexport", "drains") => self.unexport = Unexport::Drains,
            ("order", "unknown") => self.order = Order::Unknown,
            ("order", "fifo") => self.order = Order::Fifo,
            ("allow-list", "unproven") => self.allow_list = AllowList::Unproven,
            ("allow-list", "one") => self.allow_list = AllowList::One,
            ("allow-list", "comma") => self.allow_list = AllowList::Comma,
            ("growth", "unknown") => self.growth = Growth::Unknown,
            ("growth", "live") => self.growth = Growth::Live,
            ("growth", "re-export") => self.growth = Growth::ReExport,
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_not_said_is_taken_from_its_cautious_side() {
        let facts = DeviceFacts::parse(["order=fifo"]).unwrap();
        let expected = DeviceFacts { order: Order::Fifo, ..DeviceFacts::default() };
        assert_eq!(
            (facts, facts.unexport, facts.allow_list),
            (expected, Unexport::Early, AllowList::Unproven)
        );
    }

    #[test]
    fn an_unknown_fact_is_answered_with_all_that_are_known() {
        for wrong in ["", "order", "order=", "order=FIFO", "weather=fine", "=", "unexport=drains "] {
            let error = DeviceFacts::parse([wrong]).unwrap_err().to_string();
            assert!(error.contains("order=unknown|fifo"), "{error}");
        }
    }
}
