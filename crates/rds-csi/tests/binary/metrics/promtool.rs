//! What `promtool check` of Debian's package `prometheus` says of a scrape, and of rules.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The complaints about an exposition in the text format; none are a clean one.
pub(super) async fn complaints(exposition: &str) -> Vec<String> {
    let (succeeded, _, said) = check(&["check", "metrics"], exposition).await;
    let complaints: Vec<String> = said.lines().map(str::to_owned).collect();
    assert_eq!(succeeded, complaints.is_empty(), "{said}\n{exposition}");
    complaints
}

/// How many rules there are; fails where they are none that Prometheus takes.
pub(super) async fn rules(rules: &str) -> usize {
    let (succeeded, found, said) = check(&["check", "rules", "/dev/stdin"], rules).await;
    assert!(succeeded, "{said}\n{found}\n{rules}");
    let count = found.split_whitespace().rev().find_map(|word| word.parse().ok());
    count.unwrap_or_else(|| panic!("no count in {found}"))
}

/// What of the tests of rules, which name these `rules.yaml`, does not come true; `None` where all does.
pub(super) async fn failures(rules: &str, tests: &str) -> Option<String> {
    let folder = tempfile::TempDir::new().unwrap();
    let written = folder.path().join("tests.yaml");
    std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    std::fs::write(&written, tests).unwrap();
    let (succeeded, found, said) = check(&["test", "rules", written.to_str().unwrap()], "").await;
    (!succeeded).then(|| format!("{found}{said}"))
}

/// Gives promtool an input; whether it succeeded, and its output and error.
#[allow(clippy::disallowed_methods, reason = "test support starts the tool")]
async fn check(arguments: &[&str], given: &str) -> (bool, String, String) {
    let mut promtool = Command::new(program())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(given.as_bytes()).await.unwrap();
    drop(input);
    let ended = promtool.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.success(), text(ended.stdout), text(ended.stderr))
}

/// The program: of PATH, or where `cargo xtask test unit` keeps what it fetched.
#[allow(clippy::disallowed_methods, reason = "test support looks for its tool")]
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cache = std::env::var_os("RDS_CSI_CACHE").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home);
        base.map(|base| base.join("rds-csi"))
    });
    let folders = std::env::split_paths(&path).chain(cache.map(|cache| cache.join("programs")));
    let found = folders.map(|folder| folder.join("promtool")).find(|file| file.is_file());
    found.expect(
        "promtool is missing: `cargo xtask test unit` fetches it, or install Debian's package prometheus",
    )
}
