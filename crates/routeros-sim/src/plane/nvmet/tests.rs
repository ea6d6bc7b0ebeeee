#![allow(clippy::unwrap_used, reason = "tests")]
//! The plane against a tree with the kernel's rules.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::plane::NamespaceIdentity;

/// nvmet's tree in memory: what the kernel refuses, it refuses.
#[derive(Default)]
struct Imitation {
    directories: Mutex<BTreeSet<String>>,
    attributes: Mutex<BTreeMap<String, String>>,
    links: Mutex<BTreeSet<String>>,
}

fn refused(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, what.to_owned())
}

impl Imitation {
    fn attribute(&self, path: &str) -> String {
        self.attributes.lock().unwrap().get(path).cloned().unwrap_or_default()
    }
}

impl ConfigTree for Imitation {
    fn make(&self, path: &str) -> io::Result<()> {
        self.directories.lock().unwrap().insert(path.to_owned());
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let inside = format!("{path}/");
        let used = self.links.lock().unwrap().iter().any(|l| l.starts_with(&inside) || l.ends_with(path))
            || self.directories.lock().unwrap().iter().any(|d| d.starts_with(&inside));
        if used || self.attribute(&format!("{path}/enable")) == "1" {
            return Err(refused(path));
        }
        self.directories.lock().unwrap().remove(path);
        self.attributes.lock().unwrap().retain(|attribute, _| !attribute.starts_with(&inside));
        Ok(())
    }

    fn write(&self, path: &str, value: &str) -> io::Result<()> {
        let (directory, name) = path.rsplit_once('/').unwrap();
        if !self.directories.lock().unwrap().contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let enabled = self.attribute(&format!("{directory}/enable")) == "1";
        let listed = !self.list(&format!("{directory}/allowed_hosts")).is_empty();
        match name {
            "device_path" | "device_uuid" if enabled => return Err(refused(path)),
            "attr_allow_any_host" if value == "1" && listed => return Err(refused(path)),
            _ => {}
        }
        self.attributes.lock().unwrap().insert(path.to_owned(), value.to_owned());
        Ok(())
    }

    fn read(&self, path: &str) -> Option<String> {
        self.attributes.lock().unwrap().get(path).cloned()
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        if !self.directories.lock().unwrap().contains(to) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let listed = from.split_once("/allowed_hosts/");
        if listed.is_some_and(|(s, _)| self.attribute(&format!("{s}/attr_allow_any_host")) != "0") {
            return Err(refused(from));
        }
        self.links.lock().unwrap().insert(from.to_owned());
        Ok(())
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.links.lock().unwrap().remove(path);
        Ok(())
    }

    fn list(&self, path: &str) -> Vec<String> {
        let inside = format!("{path}/");
        let (links, directories) = (self.links.lock().unwrap(), self.directories.lock().unwrap());
        let names = links.iter().chain(directories.iter()).filter_map(|each| each.strip_prefix(&inside));
        names.filter(|name| !name.contains('/')).map(str::to_owned).collect()
    }
}

#[derive(Default)]
struct FakeLoops(Mutex<BTreeMap<String, PathBuf>>);

impl LoopDevices for FakeLoops {
    fn attach(&self, file: &Path, _: u64, _: bool) -> io::Result<String> {
        let mut devices = self.0.lock().unwrap();
        let device = (0..).map(|n| format!("/dev/loop{n}")).find(|d| !devices.contains_key(d)).unwrap();
        devices.insert(device.clone(), file.to_owned());
        Ok(device)
    }

    fn detach(&self, device: &str) -> io::Result<()> {
        self.0.lock().unwrap().remove(device).map(drop).ok_or_else(|| refused(device))
    }

    fn refresh(&self, device: &str) -> io::Result<()> {
        self.0.lock().unwrap().get(device).map(drop).ok_or_else(|| refused(device))
    }

    fn attached(&self) -> io::Result<Vec<(String, PathBuf)>> {
        Ok(self.0.lock().unwrap().clone().into_iter().collect())
    }
}

struct Bench {
    tree: Arc<Imitation>,
    loops: Arc<FakeLoops>,
    plane: Nvmet,
}

fn bench() -> Bench {
    let (tree, loops) = (Arc::new(Imitation::default()), Arc::new(FakeLoops::default()));
    let plane = plane_on(&tree, &loops);
    Bench { tree, loops, plane }
}

fn plane_on(tree: &Arc<Imitation>, loops: &Arc<FakeLoops>) -> Nvmet {
    Nvmet::on(tree.clone(), loops.clone(), Path::new("/images"), IpAddr::from([127, 0, 0, 1]))
}

fn export(hosts: &[&str]) -> Export {
    Export {
        disk: "*2B".to_owned(),
        nqn: "nqn.x:v".to_owned(),
        port: 4420,
        hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        image: "raid10/v.img".to_owned(),
        offset: 0,
        size: 1 << 20,
        identity: NamespaceIdentity::fresh(),
        discard: true,
    }
}

#[test]
fn an_export_is_one_subsystem_with_namespace_1_on_a_loop_device() {
    let bench = bench();
    let export = export(&["nqn.h:1"]);
    bench.plane.export(&export).unwrap();
    let read = |path: &str| bench.tree.attribute(path);
    assert_eq!(read("subsystems/nqn.x:v/namespaces/1/device_path"), "/dev/loop0");
    assert_eq!(read("subsystems/nqn.x:v/namespaces/1/enable"), "1");
    assert_eq!(read("subsystems/nqn.x:v/namespaces/1/device_uuid"), export.identity.uuid.to_string());
    assert_eq!(read("subsystems/nqn.x:v/attr_serial"), export.identity.serial);
    assert_eq!(read("subsystems/nqn.x:v/attr_allow_any_host"), "0");
    assert_eq!(read("ports/4420/addr_trsvcid"), "4420");
    assert_eq!(bench.tree.list("ports/4420/subsystems"), ["nqn.x:v"]);
    assert_eq!(bench.tree.list("subsystems/nqn.x:v/allowed_hosts"), ["nqn.h:1"]);
    assert_eq!(bench.loops.attached().unwrap()[0].1, Path::new("/images/raid10/v.img"));
}

#[test]
fn every_way_to_unexport_but_one_leaves_nothing_in_the_kernel() {
    for how in [Unexport::ReturnsEarly, Unexport::Drains, Unexport::DisablesNamespace] {
        let bench = bench();
        bench.plane.export(&export(&["nqn.h:1"])).unwrap();
        bench.plane.unexport(&export(&[]), how).unwrap();
        bench.plane.wait_for_closing(None);
        assert!(bench.tree.list("subsystems").is_empty(), "{how:?}");
        assert!(bench.tree.list("ports").is_empty(), "{how:?}");
        assert!(bench.loops.attached().unwrap().is_empty(), "{how:?}");
    }
}

#[test]
fn sessions_that_are_left_alive_keep_their_subsystem_and_new_ones_are_refused() {
    let bench = bench();
    bench.plane.export(&export(&[])).unwrap();
    bench.plane.unexport(&export(&[]), Unexport::LeavesSessions).unwrap();
    assert_eq!(bench.tree.attribute("subsystems/nqn.x:v/attr_allow_any_host"), "0");
    assert_eq!(bench.tree.list("ports/4420/subsystems"), ["nqn.x:v"]);
    bench.plane.export(&export(&[])).unwrap();
    assert_eq!(bench.tree.attribute("subsystems/nqn.x:v/attr_allow_any_host"), "1");
}

#[test]
fn the_hosts_of_a_list_are_replaced_in_an_order_that_the_kernel_takes() {
    let bench = bench();
    bench.plane.export(&export(&[])).unwrap();
    for hosts in [&["nqn.h:1"][..], &["nqn.h:2", "nqn.h:3"], &[]] {
        bench.plane.allow_hosts(&export(hosts), true).unwrap();
        assert_eq!(bench.tree.list("subsystems/nqn.x:v/allowed_hosts"), hosts);
        assert_eq!(bench.tree.list("ports/4420/subsystems"), ["nqn.x:v"]);
    }
}

#[test]
fn a_port_that_listens_first_knows_no_volume_and_admits_nobody() {
    let bench = bench();
    bench.plane.listen(&[4420]).unwrap();
    assert_eq!(bench.tree.list("ports/4420/subsystems"), [PLACEHOLDER]);
    assert_eq!(bench.tree.attribute(&format!("subsystems/{PLACEHOLDER}/attr_allow_any_host")), "0");
    bench.plane.reset().unwrap();
    assert!(bench.tree.list("ports").is_empty());
}

#[test]
fn a_start_clears_what_a_killed_process_left_and_nothing_else() {
    let bench = bench();
    bench.plane.export(&export(&["nqn.h:1"])).unwrap();
    let foreign = bench.loops.attach(Path::new("/elsewhere/x.img"), 0, true).unwrap();
    bench.tree.make("subsystems/nqn.foreign").unwrap();
    bench.tree.make("subsystems/nqn.foreign/namespaces/1").unwrap();
    bench.tree.write("subsystems/nqn.foreign/namespaces/1/device_path", &foreign).unwrap();

    plane_on(&bench.tree, &bench.loops).reset().unwrap();

    assert_eq!(bench.tree.list("subsystems"), ["nqn.foreign"]);
    assert_eq!(bench.loops.attached().unwrap(), [(foreign, PathBuf::from("/elsewhere/x.img"))]);
}
