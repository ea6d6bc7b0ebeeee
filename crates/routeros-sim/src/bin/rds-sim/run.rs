//! The life of the program: boot, one line of JSON, serve, end in good order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use routeros_sim::control::Control;
use routeros_sim::plane::DataPlane;
use routeros_sim::plane::nvmet::Nvmet;
use routeros_sim::{Config, Identity, Simulator};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Args, Plane};

/// Names that a made certificate is always for.
const LOCAL_NAMES: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (state, _temporary) = state_directory(&args)?;
    let (identity, certificate) = identity(&args, &state)?;
    let mut config = args.config()?;
    config.state = Some(state.clone());
    config.plane = data_plane(&args, &state)?;
    let simulator = Simulator::start(config).await.context("cannot boot")?;
    let https = simulator.listen_https(args.https, &identity).await.context("cannot serve HTTPS")?;
    let http = match args.http {
        Some(address) => Some(simulator.listen_http(address).await.context("cannot serve HTTP")?),
        None => None,
    };
    let control = match args.control {
        Some(address) => Some(Control::bind(address).await.context("cannot serve the control port")?),
        None => None,
    };
    let control_address = control.as_ref().map(Control::address);
    let control = control.map(|control| tokio::spawn(control.serve(simulator.handle())));
    println!(
        "{}",
        serde_json::json!({
            "https": https.to_string(),
            "http": http.map(|address| address.to_string()),
            "control": control_address.map(|address| address.to_string()),
            "certificate": certificate,
            "fingerprint": identity.fingerprint(),
            "state": state,
            "data-plane": simulator.handle().data_plane(),
        })
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    control.iter().for_each(tokio::task::JoinHandle::abort);
    simulator.shutdown().await.context("the data plane could not be cleared")
}

/// The kernel's target where there is one; otherwise nothing, which is said.
fn data_plane(args: &Args, state: &Path) -> anyhow::Result<Option<Arc<dyn DataPlane>>> {
    if args.data_plane == Plane::None {
        return Ok(None);
    }
    match Nvmet::open(&Config::images_of(state), args.data_address) {
        Ok(plane) => Ok(Some(Arc::new(plane))),
        Err(error) if args.data_plane == Plane::Nvmet => Err(error).context("no nvmet in this kernel"),
        Err(error) => {
            eprintln!("rds-sim: no nvmet in this kernel ({error}): only the control plane is served");
            Ok(None)
        }
    }
}

/// The state directory, and its end where nobody asked for one.
fn state_directory(args: &Args) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    let (directory, temporary) = match &args.state {
        Some(directory) => (directory.clone(), None),
        None => {
            let temporary = tempfile::Builder::new().prefix("rds-sim-").tempdir()?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make the state directory {}", directory.display()))?;
    Ok((directory.canonicalize().context("cannot find the state directory")?, temporary))
}

/// The certificate given, else the one that an earlier run made, else a new one; and where it is.
fn identity(args: &Args, state: &Path) -> anyhow::Result<(Identity, PathBuf)> {
    if let (Some(certificate), Some(key)) = (&args.certificate, &args.key) {
        return Ok((Identity::load(certificate, key)?, certificate.clone()));
    }
    let (certificate, key) = (state.join("certificate.pem"), state.join("key.pem"));
    if !(certificate.exists() && key.exists()) {
        let names = LOCAL_NAMES.iter().map(|name| (*name).to_owned());
        let addresses = [args.https.ip().to_string(), args.data_address.to_string()];
        let mut names: Vec<String> = names.chain(addresses).chain(args.certificate_name.clone()).collect();
        names.sort();
        names.dedup();
        Identity::generate(&names)?.save(&certificate, &key)?;
    }
    Ok((Identity::load(&certificate, &key)?, certificate))
}
