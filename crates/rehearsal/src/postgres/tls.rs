//! TLS as a target asks for it, in words that mean the same to sqlx and to libpq.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::libpq::Libpq;

/// What libpq takes for the certificates of the system.
const SYSTEM: &str = "system";

/// Parameters by libpq's names.
type Parameters = Vec<(&'static str, String)>;

/// What cannot be done as it is asked for, and what to write instead.
pub(crate) type Refused = (String, String);

/// The value of a parameter.
pub(crate) fn value<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

fn set(parameters: &mut Parameters, name: &'static str, value: String) {
    parameters.retain(|(known, _)| *known != name);
    parameters.push((name, value));
}

/// Fills in the files that libpq would take by itself, and refuses those that one of the two could not use:
/// better now than in the middle of a backup.
pub(crate) fn complete(parameters: &mut Parameters, libpq: &Libpq) -> Result<(), Refused> {
    roots(parameters, libpq)?;
    certificate(parameters, libpq)
}

fn roots(parameters: &mut Parameters, libpq: &Libpq) -> Result<(), Refused> {
    let mode = value(parameters, "sslmode").map(str::to_owned);
    let verifies = matches!(mode.as_deref(), Some("verify-ca" | "verify-full"));
    match value(parameters, "sslrootcert").map(str::to_owned) {
        Some(root) if root == SYSTEM => {
            if mode.as_deref().is_some_and(|mode| mode != "verify-full") {
                let what = "sslrootcert=system trusts every public authority, so that the name must be verified";
                return Err((what.into(), "write sslmode=verify-full beside it".into()));
            }
            let Some(roots) = libpq.system_roots() else {
                let what = "sslrootcert=system, and the system's certificates were not found";
                return Err((what.into(), "name their file: sslrootcert=FILE, or SSL_CERT_FILE".into()));
            };
            set(parameters, "sslmode", "verify-full".into());
            set(parameters, "sslrootcert", roots.display().to_string());
        }
        Some(root) => must_be_there("sslrootcert", &root)?,
        None => {
            let wanted = verifies || mode.as_deref() == Some("require");
            // sqlx brings the public authorities along; libpq has to be told where they are.
            let found = libpq.own_file("root.crt").filter(|_| wanted);
            if let Some(root) = found.or_else(|| libpq.system_roots().filter(|_| verifies)) {
                set(parameters, "sslrootcert", root.display().to_string());
            }
        }
    }
    Ok(())
}

fn certificate(parameters: &mut Parameters, libpq: &Libpq) -> Result<(), Refused> {
    let given = ["sslcert", "sslkey"].map(|name| value(parameters, name).map(str::to_owned));
    let own = ["postgresql.crt", "postgresql.key"].map(|name| Some(libpq.own_file(name)?.display().to_string()));
    if given == [None, None] && own.contains(&None) {
        return Ok(());
    }
    let [certificate, key] = given;
    let [own_certificate, own_key] = own;
    let (Some(certificate), Some(key)) = (certificate.or(own_certificate), key.or(own_key)) else {
        return Err(("sslcert and sslkey are of use only together".into(), "name both files".into()));
    };
    must_be_there("sslcert", &certificate)?;
    must_be_there("sslkey", &key)?;
    let metadata = std::fs::metadata(&key).map_err(|error| (format!("sslkey: {error}"), "name another file".into()))?;
    // libpq's own rule: root may keep a key for a group.
    let open = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.permissions().mode() & open != 0 {
        return Err((format!("others may read the key {key}, and libpq does not take it"), format!("chmod 600 {key}")));
    }
    set(parameters, "sslcert", certificate);
    set(parameters, "sslkey", key);
    Ok(())
}

fn must_be_there(name: &str, path: &str) -> Result<(), Refused> {
    // sqlx takes a key itself for a path as well, and that must not be shown.
    if path.contains("-----BEGIN") {
        return Err((format!("{name} is a text, and pg_dump takes files only"), "name a file".into()));
    }
    if Path::new(path).is_file() {
        return Ok(());
    }
    Err((format!("{name} names {path}, which is not there"), "name a file that is there, by its whole path".into()))
}
