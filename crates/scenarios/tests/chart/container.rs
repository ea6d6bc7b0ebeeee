//! Containers of a rendered pod as processes of this machine: exactly their arguments and environment, with each mount
//! a folder below one root.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testbed::{Launch, Process};

/// A pod, of the `spec` of its template.
#[derive(Debug)]
pub(crate) struct Pod {
    spec: Value,
    root: PathBuf,
    /// What the downward API says: field path and value.
    fields: Vec<(&'static str, String)>,
}

impl Pod {
    /// Makes the folders of its volumes below `root`.
    pub(crate) fn new(spec: &Value, root: &Path, fields: Vec<(&'static str, String)>) -> Self {
        let pod = Self { spec: spec.clone(), root: root.to_owned(), fields };
        for volume in list(&pod.spec["volumes"]) {
            fs::create_dir_all(pod.folder(text(&volume["name"]))).unwrap();
        }
        pod
    }

    /// Where a path of the host is.
    pub(crate) fn host(&self, path: &str) -> PathBuf {
        self.root.join("host").join(path.trim_start_matches('/'))
    }

    /// Where a volume is.
    pub(crate) fn folder(&self, volume: &str) -> PathBuf {
        let found = list(&self.spec["volumes"]).find(|there| there["name"] == volume);
        let found = found.unwrap_or_else(|| panic!("the pod has no volume {volume}"));
        match found["hostPath"]["path"].as_str() {
            Some(path) => self.host(path),
            None => self.root.join(volume),
        }
    }

    /// Puts a key of a Secret where it is mounted, with the mode that the kubelet would give it.
    pub(crate) fn give(&self, volume: &str, key: &str, content: &[u8]) {
        let found = list(&self.spec["volumes"]).find(|there| there["name"] == volume).unwrap();
        let mode = found["secret"]["defaultMode"].as_u64().unwrap();
        let file = self.folder(volume).join(key);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode.try_into().unwrap())).unwrap();
    }

    /// Starts a container's program.
    pub(crate) fn start(
        &self,
        container: &str,
        program: &Path,
        further: &[String],
        variables: &[(&str, &str)],
    ) -> Process {
        let found = list(&self.spec["containers"]).find(|there| there["name"] == container);
        let found = found.unwrap_or_else(|| panic!("the pod has no container {container}"));
        let arguments = list(&found["args"]).map(|argument| self.translated(found, text(argument)));
        let mut launch = Launch::new(container, program).arguments(arguments).arguments(further);
        for variable in list(&found["env"]) {
            let field = text(&variable["valueFrom"]["fieldRef"]["fieldPath"]);
            let known = self.fields.iter().find(|(path, _)| *path == field);
            let (_, value) = known.unwrap_or_else(|| panic!("nobody said what {field} is"));
            launch = launch.variable(text(&variable["name"]), value);
        }
        for (name, value) in variables {
            launch = launch.variable(name, value);
        }
        launch.start(&self.root).unwrap()
    }

    /// An argument whose value is a path below a mount, with that path here.
    fn translated(&self, container: &Value, argument: &str) -> String {
        let Some((flag, value)) = argument.split_once('=') else { return argument.to_owned() };
        let (scheme, path) = value.strip_prefix("unix://").map_or(("", value), |path| ("unix://", path));
        let below = |mount: &&Value| {
            let rest = path.strip_prefix(text(&mount["mountPath"]));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let Some(mount) = list(&container["volumeMounts"]).find(below) else { return argument.to_owned() };
        let rest = path.strip_prefix(text(&mount["mountPath"])).unwrap();
        format!("{flag}={scheme}{}{rest}", self.folder(text(&mount["name"])).display())
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
