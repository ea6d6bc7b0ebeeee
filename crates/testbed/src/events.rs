//! Events, read back as `kubectl get events` reads them.

use std::time::Duration;

use serde_json::Value;

use crate::{ControlPlane, Error, Result, wait_until};

/// An Event as the core API shows it, whichever API it was posted to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The Event's own UID: what is said again is counted in the same one.
    pub id: String,
    /// `Normal` or `Warning`.
    pub level: String,
    /// Why, in one word.
    pub reason: String,
    /// What a person reads.
    pub message: String,
    /// Who says so.
    pub component: String,
    /// Which of them.
    pub instance: String,
    /// The kind of the object that it is about.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The namespace that the event is in.
    pub namespace: String,
    /// How often it happened: of a series, as the last update of it says.
    pub times: u64,
}

impl Event {
    fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let about = &object["involvedObject"];
        let component = [&object["reportingComponent"], &object["source"]["component"]].map(text);
        let times = [&object["series"]["count"], &object["count"]].map(Value::as_u64);
        Self {
            id: text(&object["metadata"]["uid"]),
            level: text(&object["type"]),
            reason: text(&object["reason"]),
            message: text(&object["message"]),
            component: component.into_iter().find(|text| !text.is_empty()).unwrap_or_default(),
            instance: text(&object["reportingInstance"]),
            kind: text(&about["kind"]),
            name: text(&about["name"]),
            uid: text(&about["uid"]),
            namespace: text(&object["metadata"]["namespace"]),
            times: times.into_iter().flatten().next().unwrap_or(1),
        }
    }
}

impl ControlPlane {
    /// The events of a reason, in all namespaces.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run).
    pub fn events(&self, reason: &str) -> Result<Vec<Event>> {
        self.events_with("reason", reason)
    }

    /// What a component has said, in all namespaces.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run).
    pub fn events_of(&self, component: &str) -> Result<Vec<Event>> {
        self.events_with("reportingComponent", component)
    }

    fn events_with(&self, field: &str, value: &str) -> Result<Vec<Event>> {
        let selector = format!("--field-selector={field}={value}");
        let list = self.admin().get(&["events", "-A", &selector])?.unwrap_or_default();
        Ok(list["items"].as_array().into_iter().flatten().map(Event::of).collect())
    }

    /// Waits for an event of a reason that is as wanted; answers it.
    ///
    /// # Errors
    /// [`Error::Late`] with those that there are of that reason.
    pub fn wait_for_event(
        &self,
        reason: &str,
        within: Duration,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Event> {
        let mut last = Vec::new();
        let found = wait_until(&format!("an event {reason}"), within, || {
            last = self.events(reason)?;
            Ok(last.iter().find(|event| wanted(event)).cloned())
        });
        found.map_err(|error| match error {
            Error::Late { what, within, .. } => Error::Late { what, within, last: format!("{last:#?}") },
            other => other,
        })
    }

    /// The lines that `kubectl get events` prints of a reason, in all namespaces.
    ///
    /// # Errors
    /// As [`Kubectl::run`](crate::Kubectl::run).
    pub fn event_lines(&self, reason: &str) -> Result<String> {
        let selector = format!("--field-selector=reason={reason}");
        self.kubectl(&["get", "events", "-A", "--no-headers", &selector])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Event;

    #[test]
    fn events_of_both_apis_say_who_and_how_often() {
        let old = json!({ "source": { "component": "old" }, "reportingComponent": "", "count": 3 });
        let new = json!({ "reportingComponent": "new", "series": { "count": 7 }, "count": 1 });
        for (object, component, times) in [(old, "old", 3), (new, "new", 7), (json!({}), "", 1)] {
            let event = Event::of(&object);
            assert_eq!((event.component.as_str(), event.times), (component, times), "{object}");
        }
    }
}
