//! The option string of `/dev/nvme-fabrics`, pure.

use crate::{Connection, Error, ErrorKind, Result};

/// More I/O queues cost memory on both sides and serve nobody at these speeds (node.md rule 14).
const MAX_DEFAULT_QUEUES: usize = 8;

/// Renders the options of a connection; `cpus` is the number of CPUs of this node.
///
/// # Errors
/// [`ErrorKind::Malformed`] where a value could smuggle in another option.
pub(crate) fn options(connection: &Connection, cpus: usize) -> Result<String> {
    let Connection { nqn, address, host, tunables } = connection;
    let queues = tunables.nr_io_queues.map_or(cpus.clamp(1, MAX_DEFAULT_QUEUES) as u64, u64::from);
    let mut options = format!(
        "nqn={},transport=tcp,traddr={},trsvcid={},hostnqn={},hostid={},ctrl_loss_tmo={},reconnect_delay={},\
         keep_alive_tmo={},nr_io_queues={queues}",
        plain(nqn.as_str())?,
        plain(&address.ip().to_string())?,
        address.port(),
        plain(&host.nqn)?,
        host.id,
        tunables.ctrl_loss_tmo,
        tunables.reconnect_delay,
        tunables.keep_alive_tmo,
    );
    if let Some(seconds) = tunables.fast_io_fail_tmo {
        options.push_str(&format!(",fast_io_fail_tmo={seconds}"));
    }
    Ok(options)
}

/// Options are parted by commas and newlines; nothing else may do so.
fn plain(value: &str) -> Result<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_%".contains(&byte);
    if !value.is_empty() && value.bytes().all(allowed) {
        return Ok(value);
    }
    Err(Error::new(ErrorKind::Malformed, format!("{value:?} cannot be given to /dev/nvme-fabrics")))
}

/// The value of an option.
pub(crate) fn option<'a>(options: &'a str, name: &str) -> Option<&'a str> {
    options
        .split(',')
        .filter_map(|option| option.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use volume::{HostIdentity, Nqn, Tunables};

    fn connection(host: &str) -> Connection {
        Connection {
            nqn: Nqn::parse("nqn.2000-02.com.mikrotik:a.0123456789abcdef").unwrap(),
            address: "10.0.0.1:4420".parse().unwrap(),
            host: HostIdentity { nqn: host.to_owned(), id: uuid::Uuid::nil() },
            tunables: Tunables::default(),
        }
    }

    #[test]
    fn every_tunable_is_given_to_the_kernel() {
        let mut connection = connection("nqn.host");
        assert_eq!(
            options(&connection, 64).unwrap(),
            "nqn=nqn.2000-02.com.mikrotik:a.0123456789abcdef,transport=tcp,traddr=10.0.0.1,trsvcid=4420,hostnqn=nqn.host,\
             hostid=00000000-0000-0000-0000-000000000000,ctrl_loss_tmo=1800,reconnect_delay=5,keep_alive_tmo=5,\
             nr_io_queues=8"
        );
        connection.tunables.fast_io_fail_tmo = Some(7);
        connection.tunables.nr_io_queues = Some(2);
        let text = options(&connection, 1).unwrap();
        assert_eq!(option(&text, "fast_io_fail_tmo"), Some("7"));
        assert_eq!(option(&text, "nr_io_queues"), Some("2"));
    }

    proptest! {
        #[test]
        fn no_host_nqn_smuggles_in_an_option(host in ".{0,40}") {
            if let Ok(text) = options(&connection(&host), 2) {
                prop_assert_eq!(option(&text, "hostnqn"), Some(host.as_str()));
                prop_assert_eq!(text.split(',').count(), 10);
            }
        }
    }
}
