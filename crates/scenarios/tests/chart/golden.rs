//! Texts that are in the repository and must be what is made now.

use std::fs;
use std::path::Path;

use crate::helm::{deploy, helm, template, values};

/// Every folder of `deploy/helm/tests`.
pub(crate) const CASES: [&str; 3] = ["least", "everything", "unlike"];

#[test]
fn manifests_are_as_they_were_seen_to_be_right() {
    for case in CASES {
        assert_same(&values(case).with_file_name("golden.yaml"), &template(case, &[]).unwrap());
    }
    let there = fs::read_dir(deploy("helm/tests")).unwrap().count();
    assert_eq!(there, CASES.len(), "a folder of deploy/helm/tests is no case");
}

#[test]
fn helm_lint_finds_nothing() {
    let chart = deploy("helm/rds-csi");
    for case in CASES {
        let values = values(case);
        let asked = ["lint", chart.to_str().unwrap(), "--strict", "--values", values.to_str().unwrap()];
        // lint asks no cluster, and cannot be told what one has.
        let said = helm(&[&asked[..], &["--set", "metrics.podMonitors.enabled=false"]].concat());
        assert!(said.as_ref().is_ok_and(|said| said.contains("0 chart(s) failed")), "{case}: {said:?}");
    }
}

/// Fails with the first line that differs; writes the file instead where `UPDATE` is set.
pub(crate) fn assert_same(file: &Path, made: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, made).unwrap();
        return;
    }
    let kept = fs::read_to_string(file).unwrap_or_default();
    if kept == made {
        return;
    }
    let differs = kept.lines().zip(made.lines()).take_while(|(kept, made)| kept == made).count();
    let line = |text: &str| text.lines().nth(differs).unwrap_or("(the end)").to_owned();
    panic!(
        "{} differs from line {} on; look at it and renew it by UPDATE=1 cargo xtask test chart\n  there: {}\n  made:  {}",
        file.display(),
        differs + 1,
        line(&kept),
        line(made)
    );
}
