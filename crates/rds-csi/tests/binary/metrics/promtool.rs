//! What `promtool check metrics` of Debian's package `prometheus` says of a scrape.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The complaints about an exposition in the text format; none are a clean one.
#[allow(clippy::disallowed_methods, reason = "test support starts the tool")]
pub(super) async fn complaints(exposition: &str) -> Vec<String> {
    let mut promtool = Command::new(program())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(exposition.as_bytes()).await.unwrap();
    drop(input);
    let ended = promtool.wait_with_output().await.unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    let complaints: Vec<String> = said.lines().map(str::to_owned).collect();
    assert_eq!(ended.status.success(), complaints.is_empty(), "{said}\n{exposition}");
    complaints
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
