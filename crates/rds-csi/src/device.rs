//! The client of the device, from its flags.

use std::time::Duration;

use anyhow::{Context, bail};
use routeros::{Address, Client, PlainHttp, RestConfig, RestTransport, Trust};

use crate::arguments::device::{DeviceArguments, TrustArguments};

/// The device that this controller manages.
pub(crate) struct Device {
    /// Its management address, as metrics and logs name it.
    pub(crate) address: String,
    pub(crate) client: Client<RestTransport>,
    pub(crate) poll_interval: Duration,
    pub(crate) figures_interval: Duration,
}

/// Makes the client; nothing is sent yet, but the files are read, so that what is wrong with them
/// is said at once.
pub(crate) fn open(arguments: DeviceArguments) -> anyhow::Result<Device> {
    let DeviceArguments {
        address,
        user_file,
        password_file,
        trust,
        max_in_flight,
        poll_interval,
        figures_interval,
    } = arguments;
    let trust = trust_of(trust)?;
    let plain = if trust == Trust::Insecure { PlainHttp::Allowed } else { PlainHttp::Refused };
    let address = Address::parse(&address, plain).context("--address")?;
    let shown = address.to_string();
    let in_flight = usize::from(max_in_flight);
    let transport = RestTransport::new(RestConfig { address, trust, user_file, password_file, in_flight })?;
    Ok(Device { address: shown, client: Client::new(transport), poll_interval, figures_interval })
}

fn trust_of(arguments: TrustArguments) -> anyhow::Result<Trust> {
    match arguments {
        TrustArguments { ca_file: Some(file), tls_fingerprint: None, tls_insecure: false } => {
            Ok(Trust::CaFile(file))
        }
        TrustArguments { ca_file: None, tls_fingerprint: Some(pin), tls_insecure: false } => {
            Ok(Trust::Pinned(pin))
        }
        TrustArguments { ca_file: None, tls_fingerprint: None, tls_insecure: true } => Ok(Trust::Insecure),
        _ => bail!(
            "how the device's certificate is checked must be said once: \
             give exactly one of --ca-file, --tls-fingerprint and --tls-insecure"
        ),
    }
}
