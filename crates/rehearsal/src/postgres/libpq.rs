//! What libpq finds on a machine beside a URL: variables, service files, password files, certificates.
//!
//! The shell reads the environment and hands it over. It is looked up once, when a target is read; then
//! sqlx and the programs that are started are told the same.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::conninfo::{self, Pairs};
use super::parameters;

/// Where a machine's own service file is, beside `PGSYSCONFDIR`: what `pg_config --sysconfdir` says on
/// Debian, on Red Hat, and of a build of one's own.
const SYSTEM_FOLDERS: [&str; 3] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql", "/usr/local/pgsql/etc"];

/// Where systems keep the certificates of public authorities in one file (Go's crypto/x509 has the same list).
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// See the module.
#[derive(Clone, Default)]
pub struct Libpq {
    /// libpq's variables (`PG…`) that are set and not empty, and `SSL_CERT_FILE`.
    pub variables: BTreeMap<String, String>,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// What the system calls the user.
    pub user: Option<String>,
}

/// One of the variables may be a password.
impl fmt::Debug for Libpq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Libpq").field("home", &self.home).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Libpq {
    /// Whether the variables alone say where a database is.
    #[must_use]
    pub fn names_a_place(&self) -> bool {
        ["PGHOST", "PGHOSTADDR", "PGSERVICE"].iter().any(|name| self.variables.contains_key(*name))
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Puts in front of what was written what counts less: the service that it names, then the variables.
    /// Where the connection leads is up to variables only when nothing was written.
    pub(crate) fn complete(&self, written: Option<Pairs>) -> Result<Pairs, String> {
        let value = |(keyword, variable): (&str, &str)| Some((keyword.to_owned(), self.variable(variable)?.to_owned()));
        let mut variables: Pairs = parameters::beside_a_url().filter_map(value).collect();
        if written.is_none() {
            variables.extend(self.user.iter().map(|user| ("user".to_owned(), user.clone())));
            variables.extend(parameters::of_the_place().filter_map(value));
        }
        let mut written = written.unwrap_or_default();
        let named = |pairs: &Pairs| pairs.iter().rev().find(|(keyword, _)| keyword == "service").cloned();
        let service = named(&written).or_else(|| named(&variables));
        variables.retain(|(keyword, _)| keyword != "service");
        written.retain(|(keyword, _)| keyword != "service");
        if let Some((_, service)) = service {
            let user = self.user.iter().map(|user| ("user".to_owned(), user.clone()));
            variables.splice(0..0, user);
            variables.extend(self.service(&service)?);
        }
        variables.extend(written);
        Ok(variables)
    }

    fn service(&self, service: &str) -> Result<Pairs, String> {
        let own = self.variable("PGSERVICEFILE").map(PathBuf::from);
        let own = own.or_else(|| Some(self.home.as_ref()?.join(".pg_service.conf")));
        let system = self.variable("PGSYSCONFDIR").map(PathBuf::from).into_iter();
        let system = system.chain(SYSTEM_FOLDERS.map(PathBuf::from)).map(|folder| folder.join("pg_service.conf"));
        let files: Vec<PathBuf> = own.into_iter().chain(system).collect();
        for file in files.iter().filter(|file| file.is_file()) {
            let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let found = conninfo::read_service(&text, service);
            if let Some(pairs) = found.map_err(|reason| format!("{}: {reason}", file.display()))? {
                return Ok(pairs);
            }
        }
        let looked = files.first().map_or_else(|| "any file".into(), |file| file.display().to_string());
        Err(format!("it is not in {looked}"))
    }

    /// The password file that counts when a target names none.
    pub(crate) fn passfile(&self) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(".pgpass"))
    }

    /// A file of the user's folder for libpq, if it is there.
    pub(crate) fn own_file(&self, name: &str) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(".postgresql").join(name)).filter(|path| path.is_file())
    }

    /// The certificates that this machine trusts.
    pub(crate) fn system_roots(&self) -> Option<PathBuf> {
        let named = self.variable("SSL_CERT_FILE").map(PathBuf::from);
        named.into_iter().chain(SYSTEM_ROOTS.map(PathBuf::from)).find(|path| Path::is_file(path))
    }
}
