//! The certificate of `www-ssl`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::assumptions::Tls;

/// A certificate with its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pem: String,
    key_pem: String,
}

/// A certificate that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// None can be made for these names.
    #[error("cannot make a certificate")]
    Generate(#[from] rcgen::Error),
    /// The files hold none.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// The file cannot be read at all.
    #[error("cannot read the certificate")]
    Io(#[from] std::io::Error),
    /// Key and certificate do not fit.
    #[error("the certificate cannot be served")]
    Serve(#[from] rustls::Error),
}

impl Identity {
    /// A self-signed certificate for these host names and addresses.
    ///
    /// # Errors
    /// A name that cannot be in a certificate.
    pub fn generate(names: &[String]) -> Result<Self, TlsError> {
        let made = rcgen::generate_simple_self_signed(names)?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let key_pem = made.signing_key.serialize_pem();
        Ok(Self { chain: vec![made.cert.der().clone()], key, pem: made.cert.pem(), key_pem })
    }

    /// A certificate chain and key from PEM files.
    ///
    /// # Errors
    /// They hold none.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let unread = |path: &Path| {
            let path = path.display().to_string();
            move |source| TlsError::Read { path, source }
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(unread(certificate))?;
        let read = PrivateKeyDer::from_pem_file(key).map_err(unread(key))?;
        let (pem, key_pem) = (std::fs::read_to_string(certificate)?, std::fs::read_to_string(key)?);
        Ok(Self { chain, key: read, pem, key_pem })
    }

    /// The certificate as PEM, for a client's CA file.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes certificate and key as PEM, the key for its owner's eyes only.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(key)?;
        file.write_all(self.key_pem.as_bytes())?;
        Ok(std::fs::write(certificate, &self.pem)?)
    }

    /// SHA-256 of the certificate, in lower-case hex.
    pub fn fingerprint(&self) -> String {
        let digest = self.chain.first().map(Sha256::digest).unwrap_or_default();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn acceptor(&self, versions: Tls) -> Result<TlsAcceptor, TlsError> {
        let versions: &[&rustls::SupportedProtocolVersion] = match versions {
            Tls::V12 => &[&rustls::version::TLS12],
            Tls::V13 => &[&rustls::version::TLS12, &rustls::version::TLS13],
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
