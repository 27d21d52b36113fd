//! An authority of the test's own, and what it signs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// An authority and the folder of all files.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate and its key.
pub struct Signed {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The key's file, for its owner's eyes only.
    pub key: PathBuf,
}

impl Authority {
    /// Makes one; its own certificate is `NAME.crt` in the folder.
    ///
    /// # Panics
    /// When a file cannot be written.
    #[must_use]
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut parameters = parameters(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        std::fs::write(folder.join(format!("{name}.crt")), certificate.pem()).expect("it can be written");
        Self { issuer: Issuer::new(parameters, key), folder: folder.to_owned() }
    }

    /// Signs a certificate for that name and these hosts, as `FILE.crt` and `FILE.key`.
    ///
    /// # Panics
    /// When a file cannot be written.
    #[must_use]
    pub fn sign(&self, file: &str, name: &str, hosts: &[&str], expired: bool) -> Signed {
        let mut parameters = parameters(name, hosts);
        if expired {
            parameters.not_before = date_time_ymd(2001, 1, 1);
            parameters.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        let path = |extension: &str| self.folder.join(format!("{file}.{extension}"));
        let signed = Signed { certificate: path("crt"), key: path("key") };
        std::fs::write(&signed.certificate, certificate.pem()).expect("it can be written");
        std::fs::write(&signed.key, key.serialize_pem()).expect("it can be written");
        std::fs::set_permissions(&signed.key, std::fs::Permissions::from_mode(0o600)).expect("its mode can be set");
        signed
    }
}

fn parameters(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).expect("names");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}
