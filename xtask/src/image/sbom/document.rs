//! The document, with what SPDX 2.3 requires of one (clauses 6, 7 and 11 of the specification).

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use uuid::Uuid;

use super::crates::Crate;
use crate::image::Source;
use crate::image::contents::Package;

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const BINARY: &str = "SPDXRef-Binary";

/// What was not looked for: SPDX wants it said, not left out.
const UNSAID: &str = "NOASSERTION";

/// The image is described; it contains the binary and Debian's packages, and the binary has its crates linked in.
pub(in crate::image) fn document(source: &Source, debian: &[Package], crates: &[Crate]) -> Result<String> {
    let license = Some(env!("CARGO_PKG_LICENSE"));
    let mut packages = vec![
        package(IMAGE, "rds-csi image", &source.version, None, None),
        package(BINARY, "rds-csi", &source.version, license, None),
    ];
    let mut relations = vec![relation(DOCUMENT, "DESCRIBES", IMAGE), relation(IMAGE, "CONTAINS", BINARY)];
    for Crate { name, version, license } in crates {
        let id = id("Crate", name, version);
        let purl = format!("pkg:cargo/{}@{}", encoded(name), encoded(version));
        relations.push(relation(BINARY, "STATIC_LINK", &id));
        packages.push(package(&id, name, version, license.as_deref(), Some(purl)));
    }
    for Package { name, version, architecture } in debian {
        let id = id("Debian", name, version);
        let purl = format!("pkg:deb/debian/{}@{}?arch={architecture}", encoded(name), encoded(version));
        relations.push(relation(IMAGE, "CONTAINS", &id));
        packages.push(package(&id, name, version, None, Some(purl)));
    }
    let ids: BTreeSet<_> = packages.iter().map(|package| package["SPDXID"].to_string()).collect();
    ensure!(ids.len() == packages.len(), "two packages of the image would have one SPDX id");
    let contents = json!({ "packages": packages, "relationships": relations });
    Ok(format!("{:#}\n", with_head(source, contents)))
}

fn with_head(source: &Source, mut document: Value) -> Value {
    // Another content is another document, the same the same.
    let unique = format!("{}{document}", source.revision);
    let unique = Uuid::new_v5(&Uuid::NAMESPACE_OID, unique.as_bytes());
    let name = format!("rds-csi-{}", source.version);
    document["spdxVersion"] = "SPDX-2.3".into();
    document["dataLicense"] = "CC0-1.0".into();
    document["SPDXID"] = DOCUMENT.into();
    // The form that the specification has for those without an address of their own.
    document["documentNamespace"] = format!("https://spdx.org/spdxdocs/{name}-{unique}").into();
    document["name"] = name.into();
    document["creationInfo"] = json!({
        "created": source.committed_at,
        "creators": [format!("Tool: rds-csi-xtask-{}", source.version)],
        "comment": format!("commit {}", source.revision),
    });
    document
}

fn package(id: &str, name: &str, version: &str, license: Option<&str>, purl: Option<String>) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": name,
        "versionInfo": version,
        "downloadLocation": UNSAID,
        "filesAnalyzed": false,
        "licenseConcluded": UNSAID,
        "licenseDeclared": license.unwrap_or(UNSAID),
        "copyrightText": UNSAID,
    });
    if let Some(purl) = purl {
        package["externalRefs"] = json!([{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl,
        }]);
    }
    package
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

/// Letters, digits, `.` and `-` are all that an id may have.
fn id(kind: &str, name: &str, version: &str) -> String {
    let plain = |text: &str| text.replace(|byte: char| !byte.is_ascii_alphanumeric() && byte != '.', "-");
    format!("SPDXRef-{kind}-{}-{}", plain(name), plain(version))
}

/// As a package URL wants it.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests;
