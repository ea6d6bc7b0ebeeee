//! QEMU's monitor (QMP, the QEMU Machine Protocol): pause, links, and what it says of its ports.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// The monitor answers at once or not at all.
const DEADLINE: Duration = Duration::from_secs(10);

/// Asks one thing and returns its answer.
pub(crate) fn ask(socket: &Path, command: &str, arguments: &Value) -> io::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    read(&mut lines)?;
    writeln!(stream, "{}", json!({"execute": "qmp_capabilities"}))?;
    answer(&mut lines)?;
    writeln!(stream, "{}", json!({"execute": command, "arguments": arguments}))?;
    answer(&mut lines)
}

/// The answer to what was asked, past the events in between.
fn answer(lines: &mut impl BufRead) -> io::Result<Value> {
    loop {
        let mut line = read(lines)?;
        if let Some(error) = line.get("error") {
            return Err(io::Error::other(error.to_string()));
        }
        if let Some(value) = line.get_mut("return") {
            return Ok(value.take());
        }
    }
}

fn read(lines: &mut impl BufRead) -> io::Result<Value> {
    let mut line = String::new();
    if lines.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_str(&line).map_err(io::Error::other)
}

/// The host's port that leads to the agent, in `info usernet`'s table.
pub(crate) fn forwarded_port(table: &str) -> Option<u16> {
    let line = table.lines().find(|line| line.contains("TCP[HOST_FORWARD]"))?;
    // Protocol[State], file descriptor, source address, source port, …
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::forwarded_port;

    #[test]
    fn the_port_that_qemu_chose_is_read_from_its_table() {
        let table = "Hub 0 (management):\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n  \
                     TCP[HOST_FORWARD]  10       127.0.0.1 40313     10.78.0.15  7700     0     0\n";
        assert_eq!(forwarded_port(table), Some(40313));
        assert_eq!(forwarded_port("Hub 0:\n"), None);
    }
}
