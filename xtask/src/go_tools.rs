//! Programs written in Go, pinned by the go.mod files below `tools/` and built once into the cache.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::machine::{Needed, cache, install};
use crate::process::run;

const GO: &[Needed] = &[Needed { program: "go", package: "golang-go" }];

/// A folder below `tools/` with a go.mod, and what is built of it.
#[derive(Debug)]
pub(crate) struct Module {
    folder: &'static str,
    programs: &'static [Program],
}

/// A program: how it is called, its package, and how long its build takes on two cores after those before it. Called
/// `….test`, as Go does, it is the package's tests.
#[derive(Debug)]
struct Program {
    name: &'static str,
    package: &'static str,
    takes: &'static str,
}

/// csi-sanity.
pub(crate) const CSI_SANITY: Module = Module {
    folder: "csi-sanity",
    programs: &[Program {
        name: "csi-sanity",
        package: "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity",
        takes: "a minute",
    }],
};

/// helm, which installs the chart.
pub(crate) const HELM: Module = Module {
    folder: "helm",
    programs: &[Program { name: "helm", package: "helm.sh/helm/v4/cmd/helm", takes: "2 minutes" }],
};

/// Kubernetes' own tests, what runs some of them at once, and the program that most of their pods run.
pub(crate) const E2E: Module = Module {
    folder: "e2e",
    programs: &[
        Program { name: "e2e.test", package: "k8s.io/kubernetes/test/e2e", takes: "6 to 10 minutes" },
        Program { name: "ginkgo", package: "github.com/onsi/ginkgo/v2/ginkgo", takes: "seconds" },
        Program { name: "agnhost", package: "k8s.io/kubernetes/test/images/agnhost", takes: "half a minute" },
    ],
};

/// What the crate `testbed` needs. Two modules: the sidecars need CSI 1.13, and with it the controller manager does
/// not build. All other modules are of the same versions in both, so that they are compiled once.
pub(crate) const CONTROL_PLANE: [Module; 2] = [
    Module {
        folder: "control-plane",
        programs: &[
            Program { name: "etcd", package: "go.etcd.io/etcd/server/v3", takes: "a minute" },
            Program {
                name: "kube-apiserver",
                package: "k8s.io/kubernetes/cmd/kube-apiserver",
                takes: "4 minutes",
            },
            Program {
                name: "kube-scheduler",
                package: "k8s.io/kubernetes/cmd/kube-scheduler",
                takes: "half a minute",
            },
            Program {
                name: "csi-provisioner",
                package: "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner",
                takes: "half a minute",
            },
            Program {
                name: "csi-attacher",
                package: "github.com/kubernetes-csi/external-attacher/v4/cmd/csi-attacher",
                takes: "seconds",
            },
            Program {
                name: "csi-resizer",
                package: "github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer",
                takes: "seconds",
            },
        ],
    },
    Module {
        folder: "kubernetes",
        programs: &[
            Program {
                name: "kube-controller-manager",
                package: "k8s.io/kubernetes/cmd/kube-controller-manager",
                takes: "a minute",
            },
            Program { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl", takes: "half a minute" },
        ],
    },
];

/// What nodes in guests need. The kubelet is of the controller manager's module, for the same reason.
pub(crate) const NODE: [Module; 2] = [
    Module {
        folder: "kubernetes",
        programs: &[Program {
            name: "kubelet",
            package: "k8s.io/kubernetes/cmd/kubelet",
            takes: "2 minutes",
        }],
    },
    Module {
        folder: "node",
        programs: &[
            Program {
                name: "containerd",
                package: "github.com/containerd/containerd/v2/cmd/containerd",
                takes: "2 minutes",
            },
            Program {
                name: "containerd-shim-runc-v2",
                package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
                takes: "seconds",
            },
            Program {
                name: "ctr",
                package: "github.com/containerd/containerd/v2/cmd/ctr",
                takes: "half a minute",
            },
            Program {
                name: "bridge",
                package: "github.com/containernetworking/plugins/plugins/main/bridge",
                takes: "seconds",
            },
            Program {
                name: "loopback",
                package: "github.com/containernetworking/plugins/plugins/main/loopback",
                takes: "seconds",
            },
            Program {
                name: "host-local",
                package: "github.com/containernetworking/plugins/plugins/ipam/host-local",
                takes: "seconds",
            },
        ],
    },
];

/// containerd's plugins that no guest needs are left out by these; other programs have no such tags.
const TAGS: &str = "no_btrfs no_devmapper no_zfs no_aufs";

impl Module {
    /// Builds what is not in the cache; answers the folder of the programs, which is another for each content of the
    /// go.mod.
    pub(crate) fn build(&self) -> Result<PathBuf> {
        install(GO)?;
        let source = Path::new("tools").join(self.folder);
        let pins = source.join("go.mod");
        let pins = std::fs::read_to_string(&pins).with_context(|| format!("read {}", pins.display()))?;
        let linker = linker_flags(&pins);
        let target = cache()?.join("go").join(format!("{}-{:016x}", self.folder, digest(&pins, &linker)));
        std::fs::create_dir_all(&target).with_context(|| format!("make {}", target.display()))?;
        for program in self.programs {
            program.build(&source, &linker, &target)?;
        }
        Ok(target)
    }
}

impl Program {
    fn build(&self, source: &Path, linker: &str, target: &Path) -> Result<()> {
        let path = target.join(self.name);
        if path.is_file() {
            return Ok(());
        }
        eprintln!("building {} ({} the first time, on two cores)", self.name, self.takes);
        let start = Instant::now();
        // Under another name until it is whole: a build may be interrupted.
        let partial = path.with_extension("partial");
        let verb: &[&str] =
            if self.name.ends_with(".test") { &["test", "-c", "-vet=off"] } else { &["build"] };
        let build = &mut Command::new("go");
        build.current_dir(source).env("CGO_ENABLED", "0").args(verb);
        build.args(["-tags", TAGS, "-ldflags", linker, "-o"]);
        run(build.arg(&partial).arg(self.package))?;
        std::fs::rename(&partial, &path).with_context(|| format!("keep {}", path.display()))?;
        eprintln!("built {} in {} s", self.name, start.elapsed().as_secs());
        Ok(())
    }
}

/// Without symbol tables, and with the version that Kubernetes' own build writes in: without it they would call
/// themselves v0.0.0, and clients refuse that.
fn linker_flags(pins: &str) -> String {
    let version = pins.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"));
    let version = version.and_then(|rest| rest.split_whitespace().next());
    let mut flags = "-s -w".to_owned();
    if let Some(version) = version {
        let mut numbers = version.split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let values =
            [("gitVersion", format!("v{version}")), ("gitMajor", major.into()), ("gitMinor", minor.into())];
        for (name, value) in values {
            flags.push_str(&format!(" -X k8s.io/component-base/version.{name}={value}"));
        }
    }
    flags
}

/// Tells one content of the pins from another. Another release of Rust may count differently: then programs are
/// linked once more from Go's own cache.
fn digest(pins: &str, linker: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (pins, linker).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::linker_flags;

    #[test]
    fn programs_of_kubernetes_know_their_version_and_others_have_none() {
        let flags =
            linker_flags("require (\n\tk8s.io/kubernetes v1.36.3 // indirect\n\tk8s.io/kms v0.36.3\n)");
        assert!(flags.contains("version.gitVersion=v1.36.3"), "{flags}");
        assert!(flags.contains("version.gitMajor=1 ") && flags.ends_with("version.gitMinor=36"), "{flags}");
        assert_eq!(linker_flags("require (\n\tgithub.com/onsi/gomega v1.42.1\n)"), "-s -w");
    }
}
