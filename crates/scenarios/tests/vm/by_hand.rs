//! What takes too long for every run: `cargo xtask test outages`.

/// Makes one test of a call with the kernel.
macro_rules! by_hand {
    ($($name:ident: $call:expr;)+) => {
        $(#[test] fn $name() { $call })+
    };
}

mod outages {
    use microvm::Kernel::{V6_1, V6_12};

    use crate::failed::dead_and_mounted_anew;
    use crate::fencing::{fenced_in_both_modes, unfenced};
    use crate::hangs::some_hang;
    use crate::killed::{deleted, handed_over};
    use crate::migration::forced_off;
    use crate::outages::{out_of_reach, rebooted};
    use crate::promises::told;
    use crate::renumbered::{End, given_up, taken_over};
    use crate::restarts::{killed_at_moments_of_every_call, powerless_in_mid_write};
    use crate::silent::a_connect_hangs;

    by_hand! {
        a_write_is_held_for_1_s_and_for_120_s_on_linux_6_12: out_of_reach(V6_12, &[1, 120]);
        a_write_is_held_for_1_s_for_30_s_and_for_120_s_on_linux_6_1: out_of_reach(V6_1, &[1, 30, 120]);
        a_device_that_listens_first_interrupts_no_pod_on_linux_6_1: rebooted(V6_1);
        a_fenced_pods_acknowledged_records_are_kept_on_linux_6_1: fenced_in_both_modes(V6_1);
        with_fencing_off_a_detached_node_writes_on_on_linux_6_1: unfenced(V6_1);
        a_forced_off_target_of_a_migration_writes_on_until_the_source_leaves_on_linux_6_1: forced_off(V6_1);
        a_controller_killed_between_two_exports_hands_the_volume_over_on_linux_6_1: handed_over(V6_1);
        a_controller_killed_in_a_deletion_leaves_nothing_on_linux_6_1: deleted(V6_1);
        nothing_is_lost_or_left_by_outages_copied_mounts_and_kills_on_linux_6_1: told(V6_1);
        power_lost_in_mid_write_loses_no_acknowledged_record_on_linux_6_1: powerless_in_mid_write(V6_1);
        power_lost_in_mid_write_loses_no_acknowledged_record_on_linux_6_12: powerless_in_mid_write(V6_12);
        a_driver_killed_at_any_moment_of_any_call_is_no_loss_on_linux_6_1: killed_at_moments_of_every_call(V6_1);
        a_driver_killed_at_any_moment_of_any_call_is_no_loss_on_linux_6_12: killed_at_moments_of_every_call(V6_12);
        an_xfs_that_dies_on_a_device_that_stays_is_found_on_linux_6_12: dead_and_mounted_anew(V6_12, &["xfs"]);
        file_systems_that_die_on_a_device_that_stays_are_found_on_linux_6_1: dead_and_mounted_anew(V6_1, &["ext4", "xfs"]);
        a_controller_that_ended_under_a_pod_is_survived_on_linux_6_1: given_up(V6_1, &[End::Outage, End::Delete]);
        a_controller_that_was_deleted_under_a_pod_is_survived_on_linux_6_12: given_up(V6_12, &[End::Delete]);
        a_raw_block_volume_is_never_served_from_anothers_number_on_linux_6_1: taken_over(V6_1);
        a_connect_that_hangs_holds_up_connects_only_on_linux_6_1: a_connect_hangs(V6_1);
        a_connect_that_hangs_holds_up_connects_only_on_linux_6_12: a_connect_hangs(V6_12);
        four_of_16_volumes_hang_in_the_kernel_and_the_others_go_on: some_hang(V6_12, 16, 4);
        eight_of_64_volumes_hang_in_the_kernel_and_the_others_go_on: some_hang(V6_12, 64, 8);
    }
}
