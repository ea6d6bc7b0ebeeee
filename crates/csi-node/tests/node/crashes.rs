//! The driver dies after every side effect of every call; the kubelet tries again; nothing is lost
//! and nothing is left.

use std::future::Future;

use host::fake::KernelVersion;
use tonic::Status;

use crate::bench::{Bench, KERNELS, Vol};

/// One call of a volume's life.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rpc {
    Stage,
    Publish,
    Unpublish,
    Unstage,
}

const LIFE: [Rpc; 4] = [Rpc::Stage, Rpc::Publish, Rpc::Unpublish, Rpc::Unstage];

async fn run(bench: &Bench, vol: &Vol, rpc: Rpc) -> Result<(), Status> {
    match rpc {
        Rpc::Stage => bench.stage(vol).await,
        Rpc::Publish => bench.publish(vol, "p").await,
        Rpc::Unpublish => bench.unpublish(vol, "p").await,
        Rpc::Unstage => bench.unstage(vol).await,
    }
}

/// Runs `rpc` with a crash after its n-th effect; false where it ended before that.
async fn crashes(bench: &Bench, vol: &Vol, rpc: Rpc, effects: usize) -> bool {
    let seen = bench.kernel.effects().clone();
    seen.crash_after(effects);
    let call: std::pin::Pin<Box<dyn Future<Output = _>>> = Box::pin(run(bench, vol, rpc));
    tokio::select! {
        biased;
        () = seen.crashed() => true,
        ended = call => { ended.unwrap(); false }
    }
}

fn write(bench: &Bench, vol: &Vol) {
    match vol.as_block {
        true => bench.kernel.write_block(&vol.target("p"), 1 << 20, b"bytes").unwrap(),
        false => bench.kernel.write_file(&vol.target("p"), "f", b"bytes").unwrap(),
    }
}

async fn assert_written(bench: &Bench, vol: &Vol) {
    if vol.as_block {
        assert_eq!(bench.fabric.stored(vol.id, 1 << 20, 5), b"bytes");
        return;
    }
    let reader = bench.beside("reader");
    reader.stage(vol).await.unwrap();
    assert_eq!(reader.kernel.read_file(&vol.staging(), "f").unwrap(), b"bytes");
    assert!(reader.kernel.formats().is_empty());
}

/// The whole life with one crash after the n-th effect of `crashing`, and the same call tried again.
async fn live_through(version: KernelVersion, vol: &Vol, crashing: Rpc, effects: usize) -> bool {
    let mut bench = Bench::new(version);
    bench.export(vol);
    let mut crashed = false;
    for rpc in LIFE {
        if rpc == crashing {
            crashed = crashes(&bench, vol, rpc, effects).await;
            bench.restart();
        }
        if rpc != crashing || crashed {
            let again = run(&bench, vol, rpc).await;
            again.unwrap_or_else(|status| {
                panic!("{rpc:?} after effect {effects} of {crashing:?}: {status:?}")
            });
        }
        if rpc == Rpc::Publish {
            write(&bench, vol);
        }
    }
    bench.assert_clean();
    assert_written(&bench, vol).await;
    crashed
}

#[tokio::test(start_paused = true)]
async fn every_call_converges_after_a_crash_behind_each_of_its_effects() {
    for version in KERNELS {
        for vol in [Vol::ext4("a"), Vol::xfs("a"), Vol::block("a")] {
            for crashing in LIFE {
                let mut effects = 1;
                while live_through(version, &vol, crashing, effects).await {
                    effects += 1;
                }
                assert!(effects > 1, "{crashing:?} has no effect");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unstage_after_a_crash_anywhere_in_a_stage_leaves_nothing() {
    for vol in [Vol::ext4("a"), Vol::xfs("a"), Vol::block("a")] {
        for effects in 1.. {
            let mut bench = Bench::new(KernelVersion::V6_12);
            bench.export(&vol);
            if !crashes(&bench, &vol, Rpc::Stage, effects).await {
                break;
            }
            bench.restart();
            bench.unstage(&vol).await.unwrap();
            bench.assert_clean();
            bench.stage(&vol).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_loses_power_anywhere_in_an_unstage_keeps_what_was_synced() {
    for vol in [Vol::ext4("a"), Vol::xfs("a")] {
        for effects in 1.. {
            let mut bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
            bench.kernel.fsync(&vol.target("p")).unwrap();
            bench.unpublish(&vol, "p").await.unwrap();
            if !crashes(&bench, &vol, Rpc::Unstage, effects).await {
                break;
            }
            bench.power_loss();
            bench.unstage(&vol).await.unwrap();
            bench.assert_clean();
            assert_written(&bench, &vol).await;
        }
    }
}

/// Every operation that a call makes fails once; the call fails retriably, and its retry succeeds.
#[tokio::test(start_paused = true)]
async fn every_operation_that_fails_once_is_a_retriable_error_and_no_more() {
    let operations = [
        "connect",
        "rescan",
        "disconnect",
        "read",
        "scan",
        "write",
        "is-free",
        "hold",
        "mkfs",
        "grow",
        "mount",
        "bind",
        "unmount",
        "subsystems",
        "mounts",
        "device_at",
        "make_dir",
        "make_file",
        "remove_empty",
        "resolve",
    ];
    for vol in [Vol::ext4("a"), Vol::xfs("a"), Vol::block("a")] {
        for operation in operations {
            for failing in LIFE {
                let mut bench = Bench::new(KernelVersion::V6_1);
                bench.export(&vol);
                for rpc in LIFE {
                    if rpc == failing {
                        bench.kernel.fail_next(operation, 5);
                    }
                    if let Err(status) = run(&bench, &vol, rpc).await {
                        let retriable =
                            [tonic::Code::Unavailable, tonic::Code::Aborted, tonic::Code::DeadlineExceeded];
                        assert!(retriable.contains(&status.code()), "{operation} in {rpc:?}: {status:?}");
                        // The record of what was about to be done is there, the effect is not.
                        bench.restart();
                        run(&bench, &vol, rpc).await.unwrap();
                    }
                    if rpc == Rpc::Publish {
                        write(&bench, &vol);
                    }
                }
                bench.assert_clean();
                assert_written(&bench, &vol).await;
            }
        }
    }
}
