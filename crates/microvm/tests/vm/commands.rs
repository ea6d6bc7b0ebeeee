//! Commands, files and connections of one guest.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use microvm::{Error, Guest, Kernel, Lab, MIB};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn commands_bring_back_status_output_and_files(kernel: Kernel) {
    let guest =
        Lab::new(kernel).unwrap().guest("one").file("/etc/given", 0o640, "by the test").boot().unwrap();
    assert!(guest.sh("uname -r").unwrap().starts_with(&format!("{kernel}.")), "{kernel}");
    status_and_both_streams(&guest);
    bytes_survive_both_ways(&guest);
    several_commands_at_once(&guest);
    a_late_command_is_killed(&guest);
    files(&guest);
}

fn status_and_both_streams(guest: &Guest) {
    let output = guest.command("echo \"$WHAT\"; echo err >&2; exit 7").env("WHAT", "a b").run().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!((output.stdout_text().as_str(), output.stderr_text().as_str()), ("a b\n", "err\n"));

    let failed = guest.sh("echo no space >&2; false").unwrap_err();
    assert!(matches!(&failed, Error::Failed { .. }) && failed.to_string().contains("no space"), "{failed}");
}

fn bytes_survive_both_ways(guest: &Guest) {
    let bytes: Vec<u8> = (0..=255).cycle().take(3_000_001).collect();
    let output = guest.command("cat").stdin(bytes.clone()).run().unwrap();
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
}

fn several_commands_at_once(guest: &Guest) {
    let echo =
        guest.command("while read line; do echo got $line; done; echo end").open_stdin().spawn().unwrap();
    let sleeper = guest.spawn("sleep 1000").unwrap();
    echo.write_stdin(b"one\n").unwrap();
    echo.wait_for_stdout("got one", SOON).unwrap();
    assert_eq!(guest.sh("pidof sleep | wc -w").unwrap(), "1");
    echo.close_stdin().unwrap();
    assert_eq!(echo.wait(SOON).unwrap().stdout_text(), "got one\nend\n");

    sleeper.kill().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&sleeper.wait(SOON).unwrap().status);
    assert_eq!(signal, Some(9));
    drop(guest.spawn("sleep 2000").unwrap());
    guest.sh("while pidof sleep; do usleep 10000; done").unwrap();
}

fn a_late_command_is_killed(guest: &Guest) {
    let late = guest.spawn("echo begun; sleep 3000; echo never").unwrap();
    late.wait_for_stdout("begun\n", SOON).unwrap();
    let late = late.wait(Duration::from_secs(2)).unwrap_err();
    assert!(matches!(&late, Error::Timeout { output, .. } if output == "begun\n"), "{late}");
    guest.sh("while pidof sleep; do usleep 10000; done").unwrap();
}

fn files(guest: &Guest) {
    assert_eq!(guest.sh("cat /etc/given; stat -c %a /etc/given").unwrap(), "by the test640");
    guest.write_file("/var/lib/it's/new", 0o600, [0, 10, 255]).unwrap();
    assert_eq!(guest.read_file("/var/lib/it's/new").unwrap(), [0, 10, 255]);
    assert!(matches!(guest.read_file("/not/there"), Err(Error::Failed { .. })));
}

/// Answers each connection to a Unix socket with what it was sent, in capitals.
const SERVER: &str =
    "socket(S,1,1,0); bind(S,pack('S a108',1,'/run/s')); listen(S,5); $|=1; print qq(listening\\n);
    while (accept(C,S)) { local $/; print C uc(<C>); close C }";

pub(crate) fn connections_lead_to_the_guests_sockets(kernel: Kernel) {
    let lab = Lab::new(kernel).unwrap();
    let guest = lab
        .guest("one")
        .memory_mib(768)
        .disk("unused", MIB)
        .binary("/usr/bin/perl", "/usr/bin/perl")
        .boot()
        .unwrap();
    let _web =
        guest.spawn("mkdir /www; echo page > /www/index.html; httpd -f -p 127.0.0.1:80 -h /www").unwrap();
    let server = guest.spawn(&format!("perl -e '{}'", SERVER.replace('\'', "\""))).unwrap();
    server.wait_for_stdout("listening", SOON).unwrap();
    guest.sh("until wget -q -O - http://127.0.0.1/; do usleep 10000; done").unwrap();

    let unix = guest.forward_unix("/run/s").unwrap();
    assert_eq!(exchange(unix.address(), "hello"), "HELLO");
    assert_eq!(exchange(unix.address(), "again"), "AGAIN");
    let web = guest.forward_tcp(80).unwrap();
    assert!(exchange(web.address(), "GET / HTTP/1.0\r\n\r\n").ends_with("\r\n\r\npage\n"));

    let nobody = guest.forward_unix("/run/nobody").unwrap();
    assert_eq!(exchange(nobody.address(), "hello"), "");
    let closed = web.address();
    drop(web);
    assert!(TcpStream::connect(closed).and_then(|mut stream| stream.read_exact(&mut [0])).is_err());
}

fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = String::new();
    // Where nobody listens the connection is closed, be it before the request or after it.
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write));
    let _ = stream.read_to_string(&mut answer);
    answer
}
