//! Manifests for those who do not use helm: made from the chart, so that there is one source.

use crate::golden::assert_same;
use crate::helm::{deploy, template};

/// A file below `deploy`, and the templates that it is made of.
struct Made {
    file: &'static str,
    templates: &'static [&'static str],
}

const MADE: &[Made] = &[
    Made { file: "rbac/controller.yaml", templates: &["rbac/controller.yaml"] },
    Made { file: "rbac/node.yaml", templates: &["rbac/node.yaml"] },
    Made { file: "rbac/sidecars/external-attacher.yaml", templates: &["rbac/external-attacher.yaml"] },
    Made { file: "rbac/sidecars/external-provisioner.yaml", templates: &["rbac/external-provisioner.yaml"] },
    Made { file: "rbac/sidecars/external-resizer.yaml", templates: &["rbac/external-resizer.yaml"] },
    Made {
        file: "kustomize/base/rbac.yaml",
        templates: &[
            "rbac/controller.yaml",
            "rbac/node.yaml",
            "rbac/external-attacher.yaml",
            "rbac/external-provisioner.yaml",
            "rbac/external-resizer.yaml",
        ],
    },
    Made {
        file: "kustomize/base/controller.yaml",
        templates: &["controller/deployment.yaml", "controller/poddisruptionbudget.yaml"],
    },
    Made { file: "kustomize/base/node.yaml", templates: &["node/daemonset.yaml"] },
    Made { file: "kustomize/base/driver.yaml", templates: &["csidriver.yaml", "storageclasses.yaml"] },
];

#[test]
fn plain_manifests_are_those_of_the_chart() {
    for Made { file, templates } in MADE {
        let shown: Vec<_> =
            templates.iter().map(|template| format!("--show-only=templates/{template}")).collect();
        let made = template("least", &shown.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_same(&deploy(file), &plain(&made));
    }
}

/// Without what helm puts between documents.
fn plain(made: &str) -> String {
    let head = "# Made from deploy/helm/rds-csi: change it there, and run UPDATE=1 cargo xtask test chart.";
    let lines = made.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("# Source: "));
    let lines: Vec<_> = [head].into_iter().chain(lines).collect();
    lines.join("\n") + "\n"
}
