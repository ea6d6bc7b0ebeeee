#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn source() -> Source {
    Source {
        version: "0.1.0".into(),
        revision: "abc".into(),
        committed: "0".into(),
        committed_at: "1970-01-01T00:00:00Z".into(),
    }
}

fn linked(name: &str, license: Option<&str>) -> Crate {
    Crate { name: name.into(), version: "1.0.0+x".into(), license: license.map(str::to_owned) }
}

fn written() -> Value {
    let debian =
        Package { name: "libstdc++6".into(), version: "1:2.0~rc1".into(), architecture: "amd64".into() };
    let crates = [linked("serde_json", Some("MIT OR Apache-2.0")), linked("unlicensed", None)];
    serde_json::from_str(&document(&source(), &[debian], &crates).unwrap()).unwrap()
}

fn packages(document: &Value) -> &[Value] {
    document["packages"].as_array().unwrap()
}

fn texts<'a>(value: &'a Value, fields: &[&str]) -> Vec<&'a str> {
    let text = |field: &&str| value[*field].as_str().unwrap_or_else(|| panic!("no {field}: {value}"));
    fields.iter().map(text).collect()
}

#[test]
fn every_field_that_spdx_requires_is_there() {
    let document = written();
    let head = texts(&document, &["spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace"]);
    assert_eq!(head[..3], ["SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"]);
    assert!(head[4].starts_with("https://") && !head[4].contains('#'), "{}", head[4]);
    assert_eq!(texts(&document["creationInfo"], &["created"]), ["1970-01-01T00:00:00Z"]);
    assert!(document["creationInfo"]["creators"][0].as_str().unwrap().starts_with("Tool: "));
    for package in packages(&document) {
        let fields = texts(package, &["SPDXID", "name", "downloadLocation", "licenseDeclared"]);
        let id = fields[0].strip_prefix("SPDXRef-").unwrap();
        assert!(id.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-".contains(letter)), "{id}");
        assert_eq!(package["filesAnalyzed"], false, "files would have to be listed");
    }
}

#[test]
fn every_relation_is_between_things_of_the_document_and_everything_is_in_the_image() {
    let document = written();
    let relations = document["relationships"].as_array().unwrap();
    let ids = packages(&document).iter().map(|package| package["SPDXID"].as_str().unwrap());
    let known: Vec<_> = ids.chain([DOCUMENT]).collect();
    for relation in relations {
        for end in texts(relation, &["spdxElementId", "relatedSpdxElement"]) {
            assert!(known.contains(&end), "{end}");
        }
    }
    let reached = relations.iter().map(|relation| relation["relatedSpdxElement"].as_str().unwrap());
    let reached: BTreeSet<_> = reached.collect();
    assert_eq!(reached.len(), known.len() - 1, "all but the document itself");
}

#[test]
fn scanners_find_packages_by_their_urls() {
    let document = written();
    let purl = |package: &Value| package["externalRefs"][0]["referenceLocator"].as_str().map(str::to_owned);
    let purls: Vec<_> = packages(&document).iter().filter_map(purl).collect();
    let expected = [
        "pkg:cargo/serde_json@1.0.0%2Bx",
        "pkg:cargo/unlicensed@1.0.0%2Bx",
        "pkg:deb/debian/libstdc%2B%2B6@1%3A2.0~rc1?arch=amd64",
    ];
    assert_eq!(purls, expected);
}

#[test]
fn two_packages_of_one_id_are_no_document() {
    assert!(document(&source(), &[], &[linked("a-b", None), linked("a_b", None)]).is_err());
}
