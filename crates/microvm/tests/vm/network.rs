//! The data network between guests.

use std::time::Duration;

use microvm::{Error, Guest, Kernel, Lab};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn a_link_is_cut_and_comes_back_and_commands_go_on(kernel: Kernel) {
    let lab = Lab::new(kernel).unwrap();
    let [a, b] = lab.boot([lab.guest("a"), lab.guest("b")]).unwrap();
    eprintln!("two guests up after {:?} and {:?}", a.boot_time().unwrap(), b.boot_time().unwrap());
    let listener = a.spawn("echo hello from a | nc -l -p 7").unwrap();
    a.sh("until netstat -ltn | grep -q :7; do usleep 10000; done").unwrap();
    assert_eq!(b.sh(&format!("nc {} 7 < /dev/null", a.address())).unwrap(), "hello from a");
    listener.wait(SOON).unwrap();

    a.link().cut();
    assert!(!reaches(&b, &a));
    assert_eq!(a.sh("cat /sys/class/net/data/carrier").unwrap(), "1");
    a.link().restore();
    assert!(reaches(&b, &a));

    a.link().unplug().unwrap();
    a.sh("until [ $(cat /sys/class/net/data/carrier) = 0 ]; do usleep 10000; done").unwrap();
    assert!(!reaches(&b, &a));
    a.link().plug().unwrap();
    a.sh("until [ $(cat /sys/class/net/data/carrier) = 1 ]; do usleep 10000; done").unwrap();
    assert!(reaches(&b, &a));

    a.pause().unwrap();
    assert!(!reaches(&b, &a));
    let unheard = a.command("true").deadline(Duration::from_secs(1)).run();
    assert!(matches!(unheard, Err(Error::Timeout { .. })), "{unheard:?}");
    a.resume().unwrap();
    assert!(reaches(&b, &a));
}

fn reaches(from: &Guest, to: &Guest) -> bool {
    from.run(&format!("ping -c 1 -W 2 {}", to.address())).unwrap().success()
}
