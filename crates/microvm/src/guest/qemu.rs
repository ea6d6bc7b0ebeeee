//! QEMU's command line, by testbed.md.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::wire::AGENT_PORT;

/// The program.
pub(crate) const PROGRAM: &str = "qemu-system-x86_64";

/// The monitor's socket in the guest's directory.
pub(crate) const MONITOR: &str = "qmp.sock";

/// The root file system's disk in the guest's directory: what the guest has changed of its image.
pub(crate) const ROOT: &str = "root.qcow2";

/// The data link's socket in the guest's directory.
pub(crate) const DATA: &str = "data.sock";

/// Where a guest finds the host's ports that it may reach, on its management link.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 100);

/// Emulation on all cores: `/dev/kvm` where this was made cannot run these kernels.
const ACCELERATOR: &str = "tcg,thread=multi";

/// The least MiB that QEMU has for its translations; half of the guest's memory where that is more, since who has more
/// memory runs more programs. Without a bound they take more than the guest. A buffer that is full is thrown away, and all
/// is translated again: a kubelet beside a controller with its sidecars fills one of 256 MiB every minute.
const LEAST_TRANSLATIONS_MIB: u32 = 256;

/// All that QEMU emulates, but five-level page tables: these cost and bring nothing.
const CPU: &str = "max,la57=off";

/// A quick boot (the self-tests of ciphers take a second), a console, an end of QEMU when the kernel panics. On a host
/// that is short of time the check of the timer finds no tick in ten and panics (seen at a load of 20): no check.
const KERNEL_OPTIONS: &str = "console=ttyS0 quiet mitigations=off nokaslr audit=0 tsc=reliable panic=-1 \
                              no_timer_check random.trust_cpu=on cryptomgr.notests";

/// What a guest is made of.
pub(crate) struct Machine<'a> {
    pub(crate) name: &'a str,
    pub(crate) number: u8,
    pub(crate) memory_mib: u32,
    pub(crate) cpus: u8,
    pub(crate) image: &'a Path,
    pub(crate) initramfs: &'a Path,
    /// Names of the disks, in the order of `/dev/vda`, `/dev/vdb`, …
    pub(crate) disks: &'a [String],
    pub(crate) address: Ipv4Addr,
    /// TCP ports of the host's loopback that the guest reaches.
    pub(crate) host_ports: &'a [u16],
    /// Whether there is a root file system at [`ROOT`].
    pub(crate) has_root: bool,
}

impl Machine<'_> {
    /// The arguments; files and sockets are relative to the guest's directory.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"].map(str::to_owned).into();
        let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        option("-name", self.name.to_owned());
        let translations = LEAST_TRANSLATIONS_MIB.max(self.memory_mib / 2);
        option("-accel", format!("{ACCELERATOR},tb-size={translations}"));
        option("-machine", "q35,graphics=off,usb=off".to_owned());
        option("-cpu", CPU.to_owned());
        option("-smp", self.cpus.to_string());
        option("-m", self.memory_mib.to_string());
        option("-serial", "stdio".to_owned());
        option("-qmp", format!("unix:{MONITOR},server=on,wait=off"));
        option("-kernel", self.image.display().to_string());
        option("-initrd", self.initramfs.display().to_string());
        let root = if self.has_root { " microvm.root" } else { "" };
        let (name, address) = (self.name, self.address);
        let append = format!("{KERNEL_OPTIONS} microvm.name={name} microvm.address={address}/24{root}");
        option("-append", append);
        self.network(&mut option);
        self.storage(&mut option);
        arguments
    }

    /// The data link leads to the hub; the management link leads to the agent, and out of the guest only to the
    /// ports of the host that were asked for: a process a connection carries each, as QEMU has it.
    fn network(&self, option: &mut impl FnMut(&str, String)) {
        option("-netdev", format!("stream,id=data,server=off,addr.type=unix,addr.path={DATA}"));
        let mut management = format!(
            "user,id=management,restrict=on,ipv6=off,net=10.78.0.0/24,\
             hostfwd=tcp:127.0.0.1:0-10.78.0.15:{AGENT_PORT}"
        );
        for port in self.host_ports {
            management += &format!(",guestfwd=tcp:{HOST}:{port}-cmd:busybox nc 127.0.0.1 {port}");
        }
        option("-netdev", management);
        for (link, bus) in [("data", 77), ("management", 78)] {
            let address = format!("52:54:00:{bus}:00:{:02x}", self.number);
            // Without an option ROM the firmware does not try to boot from the network.
            option("-device", format!("virtio-net-pci,netdev={link},mac={address},romfile="));
        }
    }

    /// A write that the guest was told is done is in the host's page cache, and survives QEMU's end.
    fn storage(&self, option: &mut impl FnMut(&str, String)) {
        for disk in self.disks {
            option(
                "-drive",
                format!("id={disk},file={disk}.img,format=raw,if=none,cache=unsafe,discard=unmap"),
            );
            option("-device", format!("virtio-blk-pci,drive={disk},serial={disk}"));
        }
        // Last, so that the first disk of a test is always `/dev/vda`. What the guest flushed is in the host's page cache.
        if self.has_root {
            option("-drive", format!("id=root,file={ROOT},format=qcow2,if=none,cache=unsafe,discard=unmap"));
            option("-device", "virtio-blk-pci,drive=root,serial=root".to_owned());
        }
    }
}
