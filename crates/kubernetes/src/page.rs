//! A page of a LIST, whose objects are made small one by one.
//!
//! The client's own list holds a page four times over: as it came, joined, as a string, and as objects. Of thousands of
//! objects those are most of what a look over everything takes.

use std::fmt;
use std::marker::PhantomData;

use futures::{AsyncBufReadExt as _, pin_mut};
use kube::api::ListParams;
use kube::core::Request;
use kube::{Api, Resource};
use serde::Deserialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Asks for one page and gives each of its objects to `each`; the token of the next one. `text` holds the answer: its
/// room serves page after page.
///
/// # Errors
/// Then some of the objects may have been given already.
pub(crate) async fn page<K: Clone + Resource + DeserializeOwned>(
    api: &Api<K>,
    params: &ListParams,
    text: &mut Vec<u8>,
    each: impl FnMut(K),
) -> kube::Result<Option<String>> {
    let request = Request::new(api.resource_url()).list(params).map_err(kube::Error::BuildRequest)?;
    let answer = api.clone().into_client().request_stream(request).await?;
    pin_mut!(answer);
    text.clear();
    loop {
        let piece = answer.fill_buf().await.map_err(kube::Error::ReadEvents)?;
        if piece.is_empty() {
            break;
        }
        text.extend_from_slice(piece);
        let length = piece.len();
        answer.consume_unpin(length);
    }
    objects(text, each).map_err(kube::Error::SerdeError)
}

/// Gives each object of a list to `each`; the token of the page after it.
fn objects<K: DeserializeOwned>(text: &[u8], each: impl FnMut(K)) -> serde_json::Result<Option<String>> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let token = deserializer.deserialize_map(List { each, object: PhantomData })?;
    deserializer.end()?;
    Ok(token.filter(|token| !token.is_empty()))
}

/// `meta/v1` ListMeta.
#[derive(Default, Deserialize)]
struct ListMeta {
    #[serde(rename = "continue")]
    token: Option<String>,
}

/// The whole list. One without items is none: what it does not show would be taken for absent.
struct List<K, F> {
    each: F,
    object: PhantomData<fn() -> K>,
}

impl<'de, K: Deserialize<'de>, F: FnMut(K)> Visitor<'de> for List<K, F> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut token, mut has_items) = (None, false);
        while let Some(name) = fields.next_key::<Field>()? {
            match name {
                Field::Metadata => token = fields.next_value::<Option<ListMeta>>()?.unwrap_or_default().token,
                Field::Items => {
                    fields.next_value_seed(Items { each: &mut self.each, object: PhantomData })?;
                    has_items = true;
                }
                Field::Other => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        if has_items { Ok(token) } else { Err(A::Error::missing_field("items")) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Field {
    Metadata,
    Items,
    #[serde(other)]
    Other,
}

/// The objects; none where Go shows an empty list as null.
struct Items<'a, K, F> {
    each: &'a mut F,
    object: PhantomData<fn() -> K>,
}

impl<'de, K: Deserialize<'de>, F: FnMut(K)> DeserializeSeed<'de> for Items<'_, K, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, K: Deserialize<'de>, F: FnMut(K)> Visitor<'de> for Items<'_, K, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(object) = items.next_element()? {
            (self.each)(object);
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(text: &str) -> serde_json::Result<(Vec<u32>, Option<String>)> {
        let mut items = Vec::new();
        let token = objects(text.as_bytes(), |item: u32| items.push(item))?;
        Ok((items, token))
    }

    #[test]
    fn objects_and_token_are_read_in_whatever_order_they_come() {
        for (text, items, token) in [
            (
                r#"{"kind":"L","metadata":{"resourceVersion":"7","continue":"t"},"items":[1,2]}"#,
                vec![1, 2],
                Some("t"),
            ),
            (r#"{"items":[1],"metadata":{"continue":""},"other":{"items":[3]}}"#, vec![1], None),
            (r#"{"metadata":null,"items":null}"#, vec![], None),
            (r#" {"items" : [ ] } "#, vec![], None),
        ] {
            assert_eq!(read(text).unwrap(), (items, token.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn what_is_cut_or_no_list_is_an_error_and_never_an_empty_list() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"kind":"Status","metadata":{},"status":"Success"}"#,
            r#"{"metadata":{"continue":"t"},"items":[1,2"#,
            r#"{"items":[1,2]"#,
            r#"{"items":[1]} {"items":[2]}"#,
            r#"{"items":{}}"#,
            r#"{"items":"1"}"#,
            r#"{"items":[1,"x"]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
