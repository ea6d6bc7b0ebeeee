//! Flags.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Parser, ValueEnum};
use routeros_sim::device::RosePackage;
use routeros_sim::version::Version;
use routeros_sim::{Assumptions, Config, PoolConfig, UserConfig};

/// Simulates a MikroTik ROSE Data Server (RouterOS 7.24) on the wire.
#[derive(Debug, Parser)]
#[command(name = "rds-sim", disable_version_flag = true)]
pub(crate) struct Args {
    /// Where to serve REST without TLS
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) http: Option<SocketAddr>,
    /// Where to serve REST over TLS
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub(crate) https: SocketAddr,
    /// Certificate chain in PEM; made and kept in the state directory where not given
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// Key of the certificate in PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
    /// Another host name or address that the made certificate is for
    #[arg(long, value_name = "NAME")]
    pub(crate) certificate_name: Vec<String>,
    /// Where to serve the control port; loopback only
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) control: Option<SocketAddr>,
    /// Where state and images are kept; a temporary directory where not given
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// RouterOS version of the device
    #[arg(long = "version", value_name = "VERSION", default_value_t = Version::LATEST)]
    pub(crate) routeros: Version,
    /// State of the rose-storage package
    #[arg(long, value_enum, default_value = "enabled")]
    pub(crate) rose_storage: Rose,
    /// A pool, slot:size[:fs[:type]], size in bytes or with K, M, G, T
    #[arg(long, value_name = "POOL", default_value = "raid10:100G:xfs:raid")]
    pub(crate) pool: Vec<String>,
    /// A directory to make on a pool, such as raid10/volumes
    #[arg(long, value_name = "PATH")]
    pub(crate) directory: Vec<String>,
    /// Name of the first user, of group full
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub(crate) user: String,
    /// File with the first user's password; otherwise RDS_SIM_PASSWORD, otherwise `admin`
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Password of the first user
    #[arg(long, env = "RDS_SIM_PASSWORD", hide = true, hide_env_values = true)]
    password: Option<String>,
    /// File with more users, one per line: name:password:policies (or a group's name)
    #[arg(long, value_name = "FILE")]
    pub(crate) users: Option<PathBuf>,
    /// Answer to a question that nobody knows of the device, name=value; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) assume: Vec<String>,
    /// Print the questions that nobody knows of the device, and end
    #[arg(long)]
    pub(crate) list_assumptions: bool,
    /// What serves exported disks to hosts
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) data_plane: Plane,
    /// Address that NVMe/TCP ports listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) data_address: std::net::IpAddr,
    /// Time that the device takes over each request, such as 20ms
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = duration)]
    pub(crate) latency: Duration,
    /// The longest that a command may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) session_cap: Duration,
}

/// What serves exported disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plane {
    /// nvmet where the kernel has it, else none
    Auto,
    /// nvmet through configfs, on loop devices
    Nvmet,
    /// Nothing
    None,
}

/// State of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rose {
    /// Installed and enabled
    Enabled,
    /// Installed, not enabled
    Disabled,
    /// Not installed
    Missing,
}

impl Args {
    /// The device that the flags describe; its state directory and data plane are added by the caller.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let mut assumptions = Assumptions::default();
        self.assume.iter().try_for_each(|text| assumptions.assume(text))?;
        Ok(Config {
            version: self.routeros,
            rose: match self.rose_storage {
                Rose::Enabled => RosePackage::Enabled,
                Rose::Disabled => RosePackage::Disabled,
                Rose::Missing => RosePackage::Missing,
            },
            pools: self.pool.iter().map(|text| pool(text)).collect::<anyhow::Result<_>>()?,
            users: self.users()?,
            directories: self.directory.clone(),
            assumptions,
            latency: self.latency,
            session_cap: self.session_cap,
            ..Config::default()
        })
    }

    fn users(&self) -> anyhow::Result<Vec<UserConfig>> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let from_file = self.password_file.as_ref().map(read).transpose()?;
        let password =
            from_file.as_deref().map(str::trim_end).or(self.password.as_deref()).unwrap_or("admin");
        let policies = "full".to_owned();
        let mut users = vec![UserConfig { name: self.user.clone(), password: password.to_owned(), policies }];
        let more = self.users.as_ref().map(read).transpose()?.unwrap_or_default();
        for line in more.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            users.push(user(line)?);
        }
        Ok(users)
    }
}

fn user(line: &str) -> anyhow::Result<UserConfig> {
    match line.splitn(3, ':').collect::<Vec<_>>()[..] {
        [name, password, policies] => Ok(UserConfig {
            name: name.to_owned(),
            password: password.to_owned(),
            policies: policies.to_owned(),
        }),
        _ => bail!("a line of the users file is not of the form name:password:policies"),
    }
}

fn pool(text: &str) -> anyhow::Result<PoolConfig> {
    let parts: Vec<&str> = text.split(':').collect();
    let [slot, size, ..] = parts[..] else { bail!("pool `{text}` is not of the form slot:size[:fs[:type]]") };
    let fs = parts.get(2).copied().unwrap_or("xfs");
    let kind = parts.get(3).copied().unwrap_or("raid");
    ensure!(["xfs", "btrfs"].contains(&fs), "pool `{text}`: fs is xfs or btrfs");
    ensure!(["raid", "hardware"].contains(&kind), "pool `{text}`: type is raid or hardware");
    let size = bytes(size).with_context(|| format!("pool `{text}`: `{size}` is no size"))?;
    Ok(PoolConfig { slot: slot.to_owned(), kind: kind.to_owned(), fs: fs.to_owned(), size })
}

fn bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.char_indices().last()? {
        (at, 'K') => (&text[..at], 10),
        (at, 'M') => (&text[..at], 20),
        (at, 'G') => (&text[..at], 30),
        (at, 'T') => (&text[..at], 40),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number =
        text[..split].parse::<u64>().map_err(|_| format!("`{text}` is no time such as 20ms or 5s"))?;
    match &text[split..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        _ => Err(format!("`{text}` needs a unit: ms or s")),
    }
}

/// The questions with their answers, for people.
pub(crate) fn assumptions_table() -> String {
    let mut text = String::from("What nobody knows of the device. The first value is the default.\n");
    for question in Assumptions::TABLE {
        let _ =
            writeln!(text, "\n{}: {}\n  known: {}", question.name, question.question.trim(), question.source);
        for (value, meaning) in question.values {
            let _ = writeln!(text, "    {value:<26} {meaning}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_wrong_assumption_is_one_line_that_lists_what_is_allowed() {
        let args = Args::parse_from(["rds-sim", "--assume", "slot-length=33"]);
        let error = args.config().err().unwrap().to_string();
        assert!(error.ends_with("it can be: 32, 40, none") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn pools_and_times_are_read_or_refused() {
        assert_eq!(pool("raid10:1T").unwrap(), PoolConfig::raid("raid10", 1 << 40));
        for wrong in ["raid10", "raid10:big", "raid10:1G:ntfs", "raid10:1G:xfs:tape"] {
            assert!(pool(wrong).is_err(), "{wrong}");
        }
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert!(duration("20").is_err() && duration("fast").is_err());
    }

    #[test]
    fn the_table_names_every_value_of_every_question() {
        let table = assumptions_table();
        for question in Assumptions::TABLE {
            assert!(table.contains(question.name));
            assert!(question.values.iter().all(|(value, _)| table.contains(value)));
        }
    }
}
