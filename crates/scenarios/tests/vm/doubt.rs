//! Devices that are not what the controller said.

use microvm::{Kernel, MIB};
use scenarios::{Node, Options, Shape};

use super::{boot, on_each_kernel, pod, shared};

on_each_kernel!(
    a_device_that_is_smaller_or_foreign_or_refuses_the_host_is_not_used,
    data_is_never_formatted_though_the_controller_says_blank,
);

fn a_device_that_is_smaller_or_foreign_or_refuses_the_host_is_not_used(kernel: Kernel) {
    let options = Options { controller: vec!["--fencing".into(), "host-nqn".into()], ..Options::default() };
    let system = boot(kernel, &options);
    let (a, b) = (system.node("a"), system.node("b"));
    let made = system.create("doubtful", 64 * MIB, &Shape::filesystem("ext4")).unwrap();
    let other = system.create("other", 64 * MIB, &Shape::filesystem("ext4")).unwrap();
    let (attached, foreign) =
        (system.csi().attach(&made, "a").unwrap(), system.csi().attach(&other, "a").unwrap());
    let stage = |node: &Node, context: &scenarios::Attached| {
        node.guest.sh(&format!("mkdir -p {}", Node::staging(&made))).unwrap();
        node.csi.stage(&made, context, &Node::staging(&made)).unwrap_err()
    };

    let refused = stage(a, &foreign);
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "another volume's NQN: {refused}");

    let mut smaller = attached.clone();
    smaller.context.insert("size_bytes".into(), (128 * MIB).to_string());
    let refused = stage(a, &smaller);
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    assert!(refused.message().contains(&(64 * MIB).to_string()), "it names the size: {refused}");

    let refused = stage(b, &attached_by_b(&attached));
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    assert!(refused.message().contains("refuse"), "it says that the host is refused: {refused}");
    assert_eq!(b.subsystems().unwrap(), [""; 0], "nothing was connected on b");

    pod::mount(a, &made, &attached);
    pod::end(&system, &made, "a");
}

/// The context of `a` with a host identity that the target does not list.
fn attached_by_b(attached: &scenarios::Attached) -> scenarios::Attached {
    let id = "3d0ff1bb-2f3c-4f3e-9ac5-74b8d86dc3c1";
    let mut context = attached.context.clone();
    context.insert("host_id".into(), id.into());
    context.insert("host_nqn".into(), format!("nqn.2014-08.org.nvmexpress:uuid:{id}"));
    scenarios::Attached { context }
}

fn data_is_never_formatted_though_the_controller_says_blank(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let node = system.node("a");
    for (name, fs, mib, offset_kib) in
        [("first", "ext4", 64, 4), ("later", "xfs", 320, 1024), ("last", "ext4", 64, 64 * 1024 - 4)]
    {
        let made = system.create(name, mib * MIB, &Shape::filesystem(fs)).unwrap();
        let image = system
            .rds
            .images()
            .unwrap()
            .into_iter()
            .find(|image| image.contains(&made.volume.volume_id))
            .unwrap();
        let rds = &system.rds.guest;
        rds.sh(&format!(
            "echo somebodys-data | dd of={image} bs=1k seek={offset_kib} conv=notrunc,fsync 2>/dev/null"
        ))
        .unwrap();
        let before = rds.sh(&format!("md5sum < {image}")).unwrap();
        let attached = system.csi().attach(&made, "a").unwrap();
        let refused = node.mount(&made, &attached).unwrap_err();
        assert!(format!("{refused:#}").contains("format"), "{name}: it says what it did not do: {refused:#}");
        node.csi.unstage(&made, &Node::staging(&made)).unwrap();
        system.csi().detach(&made, "a").unwrap();
        assert_eq!(
            rds.sh(&format!("sync; md5sum < {image}")).unwrap(),
            before,
            "{name}: not a byte was changed"
        );
        system.csi().delete(&made.volume.volume_id).unwrap();
    }
}
