//! Running other programs: the one door to processes of this crate.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command with our own streams; an exit status other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// Runs a command and answers what it wrote to stdout, trimmed; an exit status other than 0 is an error with its words.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).with_context(|| format!("read the output of {command:?}"))?;
    Ok(text.trim().to_owned())
}

/// Runs a command, passes its output on line by line, and shows each line to `see` as well; a guest's console may have
/// bytes that are no text. Answers whether it ended with status 0.
pub(crate) fn run_seeing(command: &mut Command, mut see: impl FnMut(&str)) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {command:?}"))?;
    let output = child.stdout.take().context("a piped stream")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("read the output of {command:?}"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        see(&line);
    }
    Ok(child.wait().with_context(|| format!("wait for {command:?}"))?.success())
}

/// The same command in a network namespace of its own, which has a loopback device and no way out. Needs root, `unshare` and
/// `ip`.
pub(crate) fn with_no_way_out(command: &Command) -> Command {
    let mut alone = Command::new("unshare");
    alone.args(["--net", "--", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]);
    alone.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => alone.env(name, value),
            None => alone.env_remove(name),
        };
    }
    command.get_current_dir().map(|folder| alone.current_dir(folder));
    alone
}

/// Whether a program is in PATH.
pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Cargo, as this process was started by it.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
