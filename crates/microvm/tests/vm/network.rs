//! The data network between guests.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use microvm::{Error, Guest, HOST, Kernel, Lab};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn a_link_is_cut_and_comes_back_and_commands_go_on(kernel: Kernel) {
    let lab = Lab::new(kernel).unwrap();
    let [a, b] = lab.boot([lab.guest("a"), lab.guest("b")]).unwrap();
    eprintln!("two guests up after {:?} and {:?}", a.boot_time().unwrap(), b.boot_time().unwrap());
    let listener = a.spawn("echo hello from a | nc -l -p 7").unwrap();
    a.sh("until netstat -ltn | grep -q ':7 '; do usleep 10000; done").unwrap();
    assert_eq!(b.sh(&format!("nc {} 7 < /dev/null", a.address())).unwrap(), "hello from a");
    listener.wait(SOON).unwrap();

    a.link().cut();
    assert!(!reaches(&b, &a));
    assert_eq!(a.sh("cat /sys/class/net/data/carrier").unwrap(), "1");
    a.link().restore();
    assert!(comes_to_reach(&b, &a));

    a.link().unplug().unwrap();
    a.sh("until [ $(cat /sys/class/net/data/carrier) = 0 ]; do usleep 10000; done").unwrap();
    assert!(!reaches(&b, &a));
    a.link().plug().unwrap();
    a.sh("until [ $(cat /sys/class/net/data/carrier) = 1 ]; do usleep 10000; done").unwrap();
    assert!(comes_to_reach(&b, &a));

    a.pause().unwrap();
    assert!(!reaches(&b, &a));
    let unheard = a.command("true").deadline(Duration::from_secs(1)).run();
    assert!(matches!(unheard, Err(Error::Timeout { .. })), "{unheard:?}");
    a.resume().unwrap();
    assert!(comes_to_reach(&b, &a));
}

/// A link that is back loses its first packets, and a guest that stood still has to catch up.
fn comes_to_reach(from: &Guest, to: &Guest) -> bool {
    let line = format!("until ping -c 1 -W 2 {}; do :; done", to.address());
    from.command(&line).deadline(SOON).run().is_ok_and(|output| output.success())
}

fn reaches(from: &Guest, to: &Guest) -> bool {
    from.run(&format!("ping -c 1 -W 2 {}", to.address())).unwrap().success()
}

pub(crate) fn a_guest_reaches_the_port_of_the_host_that_was_asked_for_and_no_other(kernel: Kernel) {
    let [asked_for, other] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = asked_for.local_addr().unwrap().port();
    let guest = Lab::new(kernel).unwrap().guest("one").host_port(port).boot().unwrap();
    // Two at once: each connection is one of its own.
    let answers = ["first", "second"].map(|word| {
        let asking = guest.spawn(&format!("echo {word} | nc {HOST} {port}")).unwrap();
        let (mut connection, _) = asked_for.accept().unwrap();
        (word, asking, connection.read_exact(&mut [0]).map(|()| connection).unwrap())
    });
    for (word, asking, mut connection) in answers {
        connection.write_all(format!("{word} heard\n").as_bytes()).unwrap();
        drop(connection);
        assert_eq!(asking.wait(SOON).unwrap().stdout_text(), format!("{word} heard\n"));
    }
    let refused = guest.run(&format!("nc -w 3 {HOST} {}", other.local_addr().unwrap().port())).unwrap();
    assert!(!refused.success(), "{refused:?}");
}
