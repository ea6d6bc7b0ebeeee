//! The guest's agent: runs commands and opens connections for the host, over the management link.
//!
//! Standard library only, built by this crate's `build.rs` as a static program of its own.

#[path = "../wire.rs"]
mod wire;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use wire::Kind;

/// The management link's address: the same in each guest, since each has a management link of its own.
const LISTEN: &str = "10.78.0.15";

fn main() {
    let listener = TcpListener::bind((LISTEN, wire::AGENT_PORT)).expect("the management link is up");
    let uptime = std::fs::read_to_string("/proc/uptime").expect("proc is mounted");
    let seconds = uptime.split(' ').next().unwrap_or_default();
    // The host reads this line on the console: from here on a connection is answered.
    println!("\nmicrovm: agent ready after {seconds} s");
    for connection in listener.incoming().flatten() {
        thread::spawn(move || {
            if let Err(error) = serve(connection) {
                eprintln!("microvm: {error}");
            }
        });
    }
}

fn serve(mut connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let Ok((kind, payload)) = wire::receive(&mut connection) else {
        return Ok(());
    };
    let answer = match kind {
        Kind::Exec => exec(&connection, &wire::split(&payload)),
        Kind::Connect => connect(&connection, &String::from_utf8_lossy(&payload)),
        other => Err(io::Error::other(format!("{other:?} is no request"))),
    };
    answer.or_else(|error| wire::send(&mut connection, Kind::Failed, error.to_string().as_bytes()))
}

/// Runs a command to its end, or to the end of the connection, which kills its process group.
fn exec(connection: &TcpStream, fields: &[String]) -> io::Result<()> {
    let (command, environment) = fields.split_first().ok_or_else(|| io::Error::other("no command"))?;
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .envs(environment.iter().filter_map(|pair| pair.split_once('=')))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let to_host = Arc::new(Mutex::new(connection.try_clone()?));
    wire::send(&mut *lock(&to_host), Kind::Granted, &[])?;
    let outputs = [
        child.stdout.take().map(|pipe| pump(pipe, Kind::Stdout, Arc::clone(&to_host))),
        child.stderr.take().map(|pipe| pump(pipe, Kind::Stderr, Arc::clone(&to_host))),
    ];
    let finished = Arc::new(Mutex::new(false));
    follow_host(connection.try_clone()?, &mut child, Arc::clone(&finished));
    let status = child.wait()?;
    *lock(&finished) = true;
    for output in outputs.into_iter().flatten() {
        // A pump ends with its pipe; one that panicked has nothing more to send either.
        let _ = output.join();
    }
    wire::send(&mut *lock(&to_host), Kind::Exit, status.into_raw().to_string().as_bytes())
}

/// Sends a pipe's bytes to the host until its end.
fn pump(mut pipe: impl Read + Send + 'static, kind: Kind, to_host: Arc<Mutex<TcpStream>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 32 * 1024];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            // When the host has gone its connection's end kills the group; until then the pipe is drained.
            let _ = wire::send(&mut *lock(&to_host), kind, &buffer[..length]);
        }
    })
}

/// Passes input and signals on to the command, on a thread of its own, until the host closes.
fn follow_host(mut from_host: TcpStream, child: &mut Child, finished: Arc<Mutex<bool>>) {
    let mut stdin = child.stdin.take();
    let group = child.id();
    thread::spawn(move || {
        while let Ok((kind, payload)) = wire::receive(&mut from_host) {
            match kind {
                Kind::Stdin => feed(&mut stdin, &payload),
                Kind::Signal => signal(group, &String::from_utf8_lossy(&payload), &finished),
                other => eprintln!("microvm: {other:?} to a command"),
            }
        }
        signal(group, "9", &finished);
    });
}

fn feed(stdin: &mut Option<ChildStdin>, bytes: &[u8]) {
    let broken = stdin.as_mut().is_none_or(|pipe| pipe.write_all(bytes).is_err());
    if bytes.is_empty() || broken {
        *stdin = None;
    }
}

/// Signals a process group, unless its leader is known to have ended: the number may be another's by then.
fn signal(group: u32, number: &str, finished: &Mutex<bool>) {
    let finished = lock(finished);
    if !*finished {
        let _ = Command::new("/bin/busybox").args(["kill", &format!("-{number}"), "--", &format!("-{group}")]).status();
    }
}

/// Joins the host's connection with a listener of the guest.
fn connect(host: &TcpStream, target: &str) -> io::Result<()> {
    let granted = || wire::send(&mut &*host, Kind::Granted, &[]);
    match target.split_once(':') {
        Some(("tcp", address)) => {
            let peer = TcpStream::connect(address)?;
            peer.set_nodelay(true)?;
            granted()?;
            join(host, peer.try_clone()?, peer.try_clone()?, move || peer.shutdown(Shutdown::Write))
        }
        Some(("unix", path)) => {
            let peer = UnixStream::connect(path)?;
            granted()?;
            join(host, peer.try_clone()?, peer.try_clone()?, move || peer.shutdown(Shutdown::Write))
        }
        _ => Err(io::Error::other(format!("{target:?} is neither tcp:ADDRESS:PORT nor unix:PATH"))),
    }
}

/// Copies both ways until both have ended; an end in one direction is passed on as such.
fn join(
    host: &TcpStream,
    mut from_peer: impl Read,
    mut to_peer: impl Write + Send + 'static,
    end_of_input: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let mut from_host = host.try_clone()?;
    let inward = thread::spawn(move || {
        let _ = io::copy(&mut from_host, &mut to_peer);
        let _ = end_of_input();
    });
    let _ = io::copy(&mut from_peer, &mut &*host);
    let _ = host.shutdown(Shutdown::Write);
    let _ = inward.join();
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

