//! The edges between crates, checked from what cargo says of the workspace.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata};

/// One crate of the workspace: what it may use.
struct Allowed {
    name: &'static str,
    /// Crates of the workspace that the product code may use.
    uses: &'static [&'static str],
    /// Crates of the workspace that only its tests may use.
    tests: &'static [&'static str],
    /// Whether it may do I/O or wait: crates that may not have none of [`EFFECTS`].
    effects: bool,
}

/// What brings I/O, clocks of the outside, or async into a crate.
const EFFECTS: &[&str] = &["tokio", "hyper", "reqwest", "rustix", "tonic", "kube", "tracing"];

/// ARCHITECTURE.md tells why each is so; a new crate is entered here first.
const HOUSE: &[Allowed] = &[
    Allowed { name: "volume", uses: &[], tests: &[], effects: false },
    Allowed { name: "attachment", uses: &["volume"], tests: &[], effects: false },
    // Adapters on the API server; CSI stays outside.
    Allowed { name: "kubernetes", uses: &["attachment", "volume"], tests: &["testbed"], effects: true },
    // A real control plane for tests: knows nothing of the product.
    Allowed { name: "testbed", uses: &[], tests: &[], effects: true },
    Allowed { name: "csi-grpc", uses: &[], tests: &[], effects: true },
    Allowed { name: "csi-server", uses: &["csi-grpc"], tests: &[], effects: true },
    Allowed { name: "routeros", uses: &[], tests: &["routeros-sim"], effects: true },
    // Two independent readings of the protocol: no crate here, in tests neither.
    Allowed { name: "routeros-sim", uses: &[], tests: &["microvm"], effects: true },
    Allowed { name: "host", uses: &["volume"], tests: &[], effects: true },
    Allowed {
        name: "csi-controller",
        uses: &["attachment", "csi-grpc", "csi-server", "routeros", "volume"],
        tests: &["routeros-sim"],
        effects: true,
    },
    // Nodes hold no credentials of the device: no routeros.
    Allowed {
        name: "csi-node",
        uses: &["csi-grpc", "csi-server", "host", "volume"],
        tests: &[],
        effects: true,
    },
    Allowed {
        name: "rds-csi",
        uses: &[
            "csi-controller",
            "csi-grpc",
            "csi-node",
            "csi-server",
            "host",
            "kubernetes",
            "routeros",
            "volume",
        ],
        tests: &["routeros-sim"],
        effects: true,
    },
    Allowed { name: "microvm", uses: &[], tests: &[], effects: true },
    Allowed {
        name: "scenarios",
        uses: &["csi-grpc", "microvm", "testbed", "volume"],
        tests: &[
            "attachment",
            "csi-controller",
            "csi-node",
            "csi-server",
            "host",
            "routeros",
            "routeros-sim",
        ],
        effects: true,
    },
    Allowed { name: "xtask", uses: &[], tests: &[], effects: true },
];

/// What a crate uses: names with whether only its tests do.
pub(super) type Used = BTreeMap<String, BTreeSet<(String, bool)>>;

/// What each crate of the workspace uses.
pub(super) fn used(metadata: &Metadata) -> Used {
    let package = |package: &cargo_metadata::Package| {
        let uses = package
            .dependencies
            .iter()
            .map(|edge| (edge.name.clone(), edge.kind == DependencyKind::Development));
        (package.name.to_string(), uses.collect())
    };
    metadata.workspace_packages().into_iter().map(package).collect()
}

/// Every edge that the house does not have, and every crate that it does not know.
pub(super) fn problems(used: &Used) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, uses) in used {
        match HOUSE.iter().find(|allowed| allowed.name == name) {
            Some(allowed) => problems
                .extend(uses.iter().filter_map(|(target, test)| forbidden(allowed, target, *test, used))),
            None => problems
                .push(format!("crate {name} is not in xtask/src/tidy/edges.rs: say there what it may use")),
        }
    }
    let gone = HOUSE.iter().filter(|allowed| !used.contains_key(allowed.name));
    problems.extend(
        gone.map(|allowed| format!("crate {} is in xtask/src/tidy/edges.rs and nowhere else", allowed.name)),
    );
    problems
}

fn forbidden(allowed: &Allowed, target: &str, test: bool, used: &Used) -> Option<String> {
    let name = allowed.name;
    if used.contains_key(target) {
        let fine =
            allowed.uses.contains(&target) || (test && allowed.tests.contains(&target)) || target == name;
        return (!fine)
            .then(|| format!("{name} must not use {target}{}", if test { " in its tests" } else { "" }));
    }
    let effect = !allowed.effects && !test && EFFECTS.contains(&target);
    effect.then(|| format!("{name} is pure and must not use {target}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house_with(extra: &[(&str, &str, bool)]) -> Used {
        let mut used: Used = HOUSE.iter().map(|allowed| (allowed.name.to_owned(), BTreeSet::new())).collect();
        for (name, target, test) in extra {
            used.entry((*name).to_owned()).or_default().insert(((*target).to_owned(), *test));
        }
        used
    }

    #[test]
    fn the_house_as_drawn_has_no_problem() {
        assert_eq!(
            problems(&house_with(&[("csi-node", "host", false), ("routeros", "routeros-sim", true)])),
            [""; 0]
        );
    }

    #[test]
    fn every_kind_of_forbidden_edge_is_found() {
        for (edge, message) in [
            (("csi-node", "routeros", false), "csi-node must not use routeros"),
            (("routeros-sim", "routeros", true), "routeros-sim must not use routeros in its tests"),
            (("routeros", "routeros-sim", false), "routeros must not use routeros-sim"),
            (("attachment", "tokio", false), "attachment is pure and must not use tokio"),
        ] {
            assert_eq!(problems(&house_with(&[edge])), [message]);
        }
        assert_eq!(problems(&house_with(&[("newcomer", "host", false)])).len(), 1);
        let mut without = house_with(&[]);
        without.remove("host");
        assert_eq!(problems(&without).len(), 1);
    }
}
