//! kubectl: what a person would do, and how tests change and read objects.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{Error, Result, objects};

/// What an answer is given: a healthy API server needs milliseconds, a paused one never answers.
const REQUEST_TIMEOUT: &str = "--request-timeout=30s";
/// What is one request that lasts: a wait has a timeout of its own, a command in a pod ends when it does.
const LASTING: [&str; 2] = ["wait", "exec"];

/// Ends what lasts too long, which is nobody's intention: a command in a pod may hang in the kernel for ever.
const LIMIT: [&str; 2] = ["timeout", "900"];
/// What that answers then.
const OUT_OF_TIME: i32 = 124;

/// kubectl as one user.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: &Path, cache: PathBuf) -> Self {
        Self { program, kubeconfig: kubeconfig.to_owned(), cache }
    }

    /// The same for another user.
    #[must_use]
    pub fn with_kubeconfig(&self, kubeconfig: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), ..self.clone() }
    }

    /// Its kubeconfig file.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What a person types before a command's arguments to be the same user.
    #[must_use]
    pub fn line(&self) -> String {
        format!("KUBECONFIG={} {}", self.kubeconfig.display(), self.program.display())
    }

    /// Runs it; answers what it printed.
    ///
    /// # Errors
    /// [`Error::Kubectl`] with its standard error, where it ends with another status than 0.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with(arguments, "")
    }

    /// Makes an object, or a `List` of them, which must not be there; answers it as the server has it.
    ///
    /// # Errors
    /// As [`Kubectl::run`].
    pub fn create(&self, object: &Value) -> Result<Value> {
        self.json(&["create", "-o", "json", "-f", "-"], &object.to_string())
    }

    /// Makes or changes an object, or a `List` of them; answers it as the server has it.
    ///
    /// # Errors
    /// As [`Kubectl::run`].
    pub fn apply(&self, object: &Value) -> Result<Value> {
        self.json(&["apply", "-o", "json", "-f", "-"], &object.to_string())
    }

    /// An object, or a list of them: the arguments of `kubectl get`; `None` where it is not found.
    ///
    /// # Errors
    /// As [`Kubectl::run`].
    pub fn get(&self, arguments: &[&str]) -> Result<Option<Value>> {
        let all = [&["get", "-o", "json", "--ignore-not-found"], arguments].concat();
        let text = self.run(&all)?;
        if text.trim().is_empty() { Ok(None) } else { parse(&text).map(Some) }
    }

    /// Changes an object by a merge patch: the arguments say which, and which subresource.
    ///
    /// # Errors
    /// As [`Kubectl::run`].
    pub fn patch(&self, arguments: &[&str], patch: &Value) -> Result<()> {
        let patch = patch.to_string();
        self.run(&[&["patch", "--type=merge", "-p", &patch], arguments].concat()).map(drop)
    }

    /// Waits, by a watch, until an object that is there is so: the arguments of `kubectl wait`, with its `--for`.
    ///
    /// # Errors
    /// As [`Kubectl::run`], also when the time is over.
    pub fn wait(&self, arguments: &[&str], within: Duration) -> Result<()> {
        let timeout = format!("--timeout={}s", within.as_secs());
        self.run(&[&["wait", &timeout], arguments].concat()).map(drop)
    }

    fn json(&self, arguments: &[&str], input: &str) -> Result<Value> {
        parse(&self.run_with(arguments, input)?)
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let failed = || Error::host(format!("kubectl {}", arguments.join(" ")));
        let mut command = Command::new(LIMIT[0]);
        command.arg(LIMIT[1]).arg(&self.program);
        // First: after a `--` they would be another program's.
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--cache-dir").arg(&self.cache);
        if !arguments.first().is_some_and(|verb| LASTING.contains(verb)) {
            command.arg(REQUEST_TIMEOUT);
        }
        command.args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed())?;
        if let Some(mut pipe) = child.stdin.take() {
            // One that ended early takes no more: its status tells. What it reads, it reads before it writes.
            let _ = pipe.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(failed())?;
        if !output.status.success() {
            let mut said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            if output.status.code() == Some(OUT_OF_TIME) {
                said += &format!(" (killed after {} s)", LIMIT[1]);
            }
            return Err(Error::Kubectl { arguments: arguments.join(" "), said });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// One document; or several, one after the other, as kubectl answers about a `List`: a list then.
fn parse(text: &str) -> Result<Value> {
    let documents = serde_json::Deserializer::from_str(text).into_iter();
    let mut documents: Vec<Value> = documents.collect::<std::result::Result<_, _>>().map_err(|error| {
        Error::Answer { what: format!("not JSON ({error})"), answer: text.chars().take(400).collect() }
    })?;
    Ok(if documents.len() == 1 { documents.swap_remove(0) } else { objects::list(documents) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::parse;

    #[test]
    fn several_documents_are_a_list_and_one_is_itself() {
        assert_eq!(parse("{\"kind\": \"Node\"}\n").unwrap(), json!({ "kind": "Node" }));
        assert_eq!(parse("{\"a\": 1}\n{\"b\": 2}\n").unwrap()["items"], json!([{ "a": 1 }, { "b": 2 }]));
        assert!(parse("error: no").is_err());
    }
}
