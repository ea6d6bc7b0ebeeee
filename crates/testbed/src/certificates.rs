//! The authority of one control plane, and the certificates that it gives.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::{Error, Result};

/// A certificate and its key, in PEM files.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Signs certificates of the API server and of its clients.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    issued: AtomicU32,
}

impl Authority {
    /// A new one; its files go into this folder.
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        let name = "the authority";
        let mut params = params(name, Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, key(name)?).map_err(failed(name))?;
        std::fs::create_dir(&folder).map_err(Error::host(folder.display().to_string()))?;
        let authority = Self { issuer, folder, issued: AtomicU32::new(0) };
        write(&authority.certificate(), &authority.issuer.pem())?;
        let accounts = key("service accounts")?;
        write(&authority.signing_key(), &accounts.serialize_pem())?;
        write(&authority.verifying_key(), &accounts.public_key_pem())?;
        Ok(authority)
    }

    /// Its own certificate, which clients and servers trust.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A server's.
    pub(crate) fn server(&self, name: &str, addresses: &[IpAddr]) -> Result<Credentials> {
        let names =
            ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"].map(str::to_owned);
        let names = names.into_iter().chain(addresses.iter().map(IpAddr::to_string)).collect();
        self.issue(name, params(name, names)?, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's: the API server reads the user from the common name, and a group from the organization.
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> Result<Credentials> {
        let mut params = params(user, Vec::new())?;
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        self.issue(user, params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// What the tokens of service accounts are signed with.
    pub(crate) fn signing_key(&self) -> PathBuf {
        self.folder.join("service-accounts.key")
    }

    /// What they are checked with.
    pub(crate) fn verifying_key(&self) -> PathBuf {
        self.folder.join("service-accounts.pub")
    }

    fn issue(
        &self,
        name: &str,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Credentials> {
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = key(name)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed(name))?;
        // Users' names hold colons and slashes: files are numbered.
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| self.folder.join(format!("{number}.{kind}"));
        let credentials = Credentials { certificate: file("pem"), key: file("key") };
        write(&credentials.certificate, &certificate.pem())?;
        write(&credentials.key, &key.serialize_pem())?;
        Ok(credentials)
    }
}

fn params(name: &str, names: Vec<String>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names).map_err(failed(name))?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn key(name: &str) -> Result<KeyPair> {
    KeyPair::generate().map_err(failed(name))
}

fn failed(name: &str) -> impl FnOnce(rcgen::Error) -> Error {
    let name = name.to_owned();
    move |source| Error::Certificate { name, source }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(Error::host(path.display().to_string()))
}
