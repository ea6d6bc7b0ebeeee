//! One row of an answer: property names and values, all of them strings, in the device's order.

use std::fmt;
use std::str::FromStr;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::{Error, ErrorKind};
use crate::identifier::ItemId;

/// A row as the device gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row(Vec<(Box<str>, Box<str>)>);

impl Row {
    /// The value of a property, if the row has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// All properties in the device's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The row's `.id`.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if there is none or it has not the form of one.
    pub fn id(&self) -> Result<ItemId, Error> {
        let text = self.required(".id")?;
        text.parse().map_err(|_| self.malformed(".id", text))
    }

    /// A property that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| self.malformed(name, "<absent>"))
    }

    /// A text property; RouterOS shows what is not set either as empty or not at all, so both are `None`.
    pub(crate) fn text(&self, name: &str) -> Option<Box<str>> {
        self.get(name).filter(|value| !value.is_empty()).map(Into::into)
    }

    /// A flag: `true`/`false` over REST, `yes`/`no` in the console; `None` if absent.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        self.get(name).map(|value| parse_flag(value).ok_or_else(|| self.malformed(name, value))).transpose()
    }

    /// A plain decimal number, never a rounded figure such as `50.0GiB`; `None` if absent or empty.
    pub(crate) fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, Error> {
        let digits =
            |value: &str| value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse().ok()).flatten();
        self.get(name)
            .filter(|value| !value.is_empty())
            .map(|value| digits(value).ok_or_else(|| self.malformed(name, value)))
            .transpose()
    }

    /// The error for a property that cannot be read: it names row, property and value.
    pub(crate) fn malformed(&self, name: &str, value: &str) -> Error {
        let row = self.get(".id").or_else(|| self.get("name")).unwrap_or("without .id");
        let value: String = value.chars().take(80).collect();
        Error::new(
            ErrorKind::Malformed,
            format!("row {row:?} has property {name:?} = {value:?}, which cannot be read"),
        )
    }
}

/// Reads a RouterOS boolean.
pub(crate) fn parse_flag(value: &str) -> Option<bool> {
    match value {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Row {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a RouterOS row: an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key::<Box<str>>()? {
            if let Text(Some(value)) = map.next_value()? {
                pairs.push((key, value));
            }
        }
        Ok(Row(pairs))
    }
}

/// A value as text: RouterOS answers strings only, but numbers and booleans have one obvious reading. Nested
/// values have none, and make the row malformed.
struct Text(Option<Box<str>>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, value: &str) -> Result<Text, E> {
        Ok(Text(Some(value.into())))
    }

    fn visit_string<E>(self, value: String) -> Result<Text, E> {
        Ok(Text(Some(value.into())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
        Ok(Text(Some(value.to_string().into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string().into())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string().into())))
    }

    // A float has lost digits already; its text fails wherever a number is read.
    fn visit_f64<E>(self, value: f64) -> Result<Text, E> {
        Ok(Text(Some(format!("{value:?}").into())))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(None))
    }
}
