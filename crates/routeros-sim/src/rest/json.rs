//! Bodies of requests: one object; values are strings, integers, booleans or lists of them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use crate::menu::Trap;

/// The fields of a body in the order that they were sent, which serde_json's own map does not keep.
struct Fields(Vec<(String, Field)>);

/// The value of a field.
#[derive(Debug, Clone)]
pub(super) struct Field(Value);

impl Field {
    /// A single value as RouterOS would have it typed.
    pub(super) fn text(&self) -> Result<String, Trap> {
        match &self.0 {
            Value::String(text) => Ok(text.clone()),
            Value::Bool(truth) => Ok(truth.to_string()),
            // Exponents and fractions are no RouterOS numbers.
            Value::Number(number) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
            _ => Err(Trap::refused("invalid JSON value")),
        }
    }

    /// A list, or a comma-separated string.
    pub(super) fn words(&self) -> Vec<String> {
        match &self.0 {
            Value::Array(values) => values.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            Value::String(text) => text.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields: Vec<(String, Field)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.iter().any(|(each, _)| *each == name) {
                        return Err(A::Error::custom("duplicate field"));
                    }
                    fields.push((name, Field(value)));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The fields of a body; none for an empty one.
pub(super) fn fields(body: &[u8]) -> Result<Vec<(String, Field)>, Trap> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice::<Fields>(body)
        .map(|fields| fields.0)
        .map_err(|_| Trap::refused("invalid JSON object"))
}

/// The fields of a body as arguments of add and set.
pub(super) fn arguments(body: &[u8]) -> Result<Vec<(String, String)>, Trap> {
    let fields = fields(body)?.into_iter().filter(|(name, _)| name != ".id");
    fields.map(|(name, field)| Ok((name, field.text()?))).collect()
}
