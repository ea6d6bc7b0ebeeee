#![allow(clippy::unwrap_used, reason = "tests")]
//! Two readings, table by table; and whole lives of a disk, with reboots, against what really happened.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn millis(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis))
}

/// Totals of a disk that reads and writes alike.
fn counters(ops: u64, bytes: u64, time: u64) -> DiskCounters {
    DiskCounters {
        read_ops: Some(ops),
        read_bytes: Some(bytes),
        read_time: millis(time),
        write_ops: Some(ops),
        write_bytes: Some(bytes),
        write_time: millis(time),
        in_flight_ops: Some(0),
        active_time: millis(time),
        wait_time: millis(2 * time),
        ..DiskCounters::default()
    }
}

fn between(earlier: DiskCounters, later: DiskCounters, elapsed: Duration) -> Rates {
    let at = Instant::now();
    rates(&Sample { at, counters: earlier }, &Sample { at: at + elapsed, counters: later })
}

#[test]
fn totals_become_rates_by_difference_over_the_time_between() {
    let moved = between(counters(100, 4096, 50), counters(400, 4096 + 8192, 650), 10 * SECOND);
    let expected = Rates {
        read_ops: Some(30.0),
        write_ops: Some(30.0),
        read_bytes: Some(819.2),
        write_bytes: Some(819.2),
        read_latency: Some(2.0),
        write_latency: Some(2.0),
        wait_latency: Some(2.0),
        active_time: Some(60.0),
    };
    assert_eq!(moved, expected);
}

#[test]
fn a_quiet_disk_has_rates_of_zero_and_no_latency() {
    let quiet = between(counters(100, 4096, 50), counters(100, 4096, 50), SECOND);
    assert_eq!((quiet.read_ops, quiet.write_bytes, quiet.active_time), (Some(0.0), Some(0.0), Some(0.0)));
    assert_eq!((quiet.read_latency, quiet.write_latency, quiet.wait_latency), (None, None, None));
}

#[test]
fn what_is_unknown_on_either_side_stays_so_alone() {
    let whole = counters(100, 4096, 50);
    let part = DiskCounters { read_ops: None, write_bytes: None, wait_time: None, ..whole };
    for (earlier, later) in [(whole, part), (part, whole)] {
        let moved = between(earlier, later, SECOND);
        let unknown = [moved.read_ops, moved.read_latency, moved.wait_latency, moved.write_bytes];
        assert_eq!(unknown, [None; 4]);
        assert_eq!((moved.read_bytes, moved.write_ops), (Some(0.0), Some(0.0)));
    }
    assert_eq!(between(DiskCounters::default(), whole, SECOND), Rates::default());
}

#[test]
fn any_total_that_went_backwards_makes_a_gap_of_the_whole_disk() {
    let whole = counters(100, 4096, 50);
    let bigger = counters(200, 8192, 100);
    let backwards: [DiskCounters; 9] = [
        DiskCounters { read_ops: Some(99), ..bigger },
        DiskCounters { read_bytes: Some(4095), ..bigger },
        DiskCounters { read_time: millis(49), ..bigger },
        DiskCounters { write_ops: Some(0), ..bigger },
        DiskCounters { write_bytes: Some(0), ..bigger },
        DiskCounters { write_time: millis(0), ..bigger },
        DiskCounters { active_time: millis(1), ..bigger },
        DiskCounters { wait_time: millis(99), ..bigger },
        counters(0, 0, 0),
    ];
    for later in backwards {
        assert_eq!(between(whole, later, SECOND), Rates::default(), "{later:?}");
    }
    let discards = |ops| DiskCounters { discard_ops: Some(ops), ..whole };
    assert_eq!(between(discards(5), discards(4), SECOND), Rates::default());
}

#[test]
fn times_that_the_device_does_not_keep_are_no_latency_of_zero() {
    let busy = between(counters(100, 4096, 0), counters(900, 8192, 0), SECOND);
    assert_eq!(busy.read_ops, Some(800.0));
    assert_eq!([busy.read_latency, busy.write_latency, busy.wait_latency, busy.active_time], [None; 4]);
    let never_used = between(counters(0, 0, 0), counters(0, 0, 0), SECOND);
    assert_eq!(never_used.active_time, Some(0.0));
}

#[test]
fn discards_and_flushes_wait_too_where_they_are_counted() {
    let later = DiskCounters { discard_ops: Some(60), flush_ops: Some(40), ..counters(50, 0, 100) };
    let earlier = DiskCounters { discard_ops: Some(0), flush_ops: Some(0), ..counters(0, 0, 0) };
    assert_eq!(between(earlier, later, SECOND).wait_latency, Some(1.0));
}

#[test]
fn readings_at_one_moment_or_in_the_wrong_order_tell_nothing() {
    assert_eq!(between(counters(1, 1, 1), counters(2, 2, 2), Duration::ZERO), Rates::default());
    let at = Instant::now();
    let (early, late) = (counters(1, 1, 1), counters(2, 2, 2));
    let inverted = rates(&Sample { at: at + SECOND, counters: early }, &Sample { at, counters: late });
    assert_eq!(inverted, Rates::default());
}

#[test]
fn one_boot_is_one_that_began_before_the_earlier_reading_was_asked_for() {
    let asked = Instant::now();
    for (answered, up_for, same) in [(15, 3600, true), (15, 15, true), (15, 14, false), (15, 0, false)] {
        let answered = asked + answered * SECOND;
        assert_eq!(is_same_boot(asked, answered, up_for * SECOND), same, "{up_for} s");
    }
    assert!(!is_same_boot(asked + SECOND, asked, 3600 * SECOND), "no order, no answer");
}

/// What a disk did between two polls, and whether the device booted before it did.
#[derive(Clone, Debug)]
struct Step {
    ops: u64,
    /// Milliseconds that each took.
    each: u64,
    seconds: u32,
    booted: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let rarely = prop::bool::weighted(0.2);
    (0..1000_u64, 0..50_u64, 1..30_u32, rarely).prop_map(|(ops, each, seconds, booted)| Step {
        ops,
        each,
        seconds,
        booted,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_life_of_a_disk_shows_more_than_it_did(steps in prop::collection::vec(step(), 1..20)) {
        let mut now = Instant::now();
        let (mut ops, mut time, mut booted_at) = (0, 0, now.checked_sub(3600 * SECOND).unwrap_or(now));
        let mut earlier: Option<Sample> = None;
        for step in steps {
            if step.booted {
                // Counters begin anew, somewhere within this step.
                (ops, time, booted_at) = (0, 0, now + Duration::from_millis(500 * u64::from(step.seconds)));
            }
            now += step.seconds * SECOND;
            (ops, time) = (ops + step.ops, time + step.ops * step.each);
            let later = Sample { at: now, counters: counters(ops, ops * 4096, time) };
            let up_for = Duration::from_secs((now - booted_at).as_secs());
            let shown = earlier
                .filter(|earlier| is_same_boot(earlier.at, now, up_for))
                .map_or_else(Rates::default, |earlier| rates(&earlier, &later));
            let true_rate = step.ops as f64 / f64::from(step.seconds);
            if step.booted {
                prop_assert_eq!(shown, Rates::default(), "a boot shows as a gap");
            } else if let (Some(read), Some(write)) = (shown.read_ops, shown.write_ops) {
                prop_assert!((read - true_rate).abs() < 1e-6 && (write - true_rate).abs() < 1e-6);
                prop_assert!(shown.read_latency.is_none_or(|shown| (shown - step.each as f64).abs() < 1e-6));
            } else {
                let whole_seconds = earlier.is_some_and(|earlier| up_for >= now - earlier.at);
                prop_assert!(!whole_seconds, "a gap without a reason");
            }
            earlier = Some(later);
        }
    }

    #[test]
    fn whatever_the_totals_every_figure_is_finite_and_not_negative(
        totals in prop::array::uniform12(prop::option::of(any::<u64>())),
        nanos in any::<u32>(),
    ) {
        let time = |at: usize| totals[at].map(Duration::from_millis);
        let of = |at: usize| DiskCounters {
            read_ops: totals[at],
            read_bytes: totals[at + 1],
            read_time: time(at + 2),
            write_ops: totals[at + 3],
            wait_time: time(at + 4),
            active_time: time(at + 5),
            ..DiskCounters::default()
        };
        let moved = between(of(0), of(6), Duration::from_nanos(nanos.into()));
        let all = [moved.read_ops, moved.write_ops, moved.read_bytes, moved.write_bytes, moved.read_latency,
            moved.write_latency, moved.wait_latency, moved.active_time];
        for figure in all.into_iter().flatten() {
            prop_assert!(figure.is_finite() && figure >= 0.0, "{figure}");
        }
    }
}
