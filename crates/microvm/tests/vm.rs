//! Guests on real kernels: what the crate promises to the tests that use it.
#![expect(clippy::disallowed_methods, reason = "tests start the program under test")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "vm/commands.rs"]
mod commands;
#[path = "vm/ending.rs"]
mod ending;
#[path = "vm/network.rs"]
mod network;
#[path = "vm/power.rs"]
mod power;
#[path = "vm/root.rs"]
mod root;
#[path = "vm/storage.rs"]
mod storage;

use microvm::Kernel;

/// The tests below, once on each kernel.
macro_rules! on {
    ($kernel:expr => $($test:path as $name:ident;)*) => {
        $(#[test]
        fn $name() {
            $test($kernel);
        })*
    };
}

/// Names the tests once and makes both modules of them.
macro_rules! on_each_kernel {
    ($($module:ident::$name:ident;)*) => {
        mod linux_6_1 {
            use super::*;
            on! { Kernel::V6_1 => $($module::$name as $name;)* }
        }
        mod linux_6_12 {
            use super::*;
            on! { Kernel::V6_12 => $($module::$name as $name;)* }
        }
    };
}

on_each_kernel! {
    commands::commands_bring_back_status_output_and_files;
    commands::connections_lead_to_the_guests_sockets;
    network::a_guest_reaches_the_port_of_the_host_that_was_asked_for_and_no_other;
    network::a_link_is_cut_and_comes_back_and_commands_go_on;
    power::a_killed_guest_boots_again_with_its_disks;
    root::guests_share_an_image_as_their_root_and_each_keeps_what_it_writes_over_a_power_cut;
    storage::one_guest_writes_to_a_disk_of_the_other_over_nvme_tcp;
}
