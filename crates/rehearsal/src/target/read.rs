//! What is written somewhere, a URL or libpq's words, as a target.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgSslMode;

use super::database::Target;
use super::error::TargetError;
use super::place::{Host, Secret, places};
use super::role::Role;
use crate::postgres::conninfo::{self, Pairs};
use crate::postgres::libpq::Libpq;
use crate::postgres::parameters::{self, Parameter};
use crate::postgres::passfile::{self, Passfile};
use crate::postgres::{CONNECT_TIMEOUT, tls};

impl Target {
    /// Reads a `postgres://` URL, or libpq's `keyword=value` words. Parameters after `?` are libpq's or
    /// sqlx's: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `host`, `options` … One that nobody here
    /// knows is refused: it may decide where the connection leads, or what a statement means there.
    ///
    /// # Errors
    /// [`TargetError`], which never repeats the URL.
    pub fn from_url(name: &str, url: &str) -> Result<Self, TargetError> {
        Self::from_pairs(name, read(name, url)?, None)
    }

    /// The same, with all that libpq would add on this machine: services, variables, password files,
    /// certificates. Without a URL, the variables say where it is.
    ///
    /// # Errors
    /// [`TargetError`], which never repeats the URL.
    pub fn on_machine(name: &str, url: Option<&str>, libpq: &Libpq) -> Result<Self, TargetError> {
        let written = url.map(|url| read(name, url)).transpose()?;
        let service = |reason| TargetError::Service { name: name.to_owned(), reason };
        let pairs = libpq.complete(written).map_err(service)?;
        Self::from_pairs(name, pairs, Some(libpq))
    }

    fn from_pairs(name: &str, pairs: Pairs, libpq: Option<&Libpq>) -> Result<Self, TargetError> {
        let not_done =
            |(what, instead): (String, String)| TargetError::NotDone { name: name.to_owned(), what, instead };
        let written = Written::collect(name, pairs)?;
        let Written { hosts, addresses, ports, password, role, mut parameters, settings, .. } = written;
        // Told first: behind an unencoded `?` of a password, all that follows looks like parameters.
        let user = written.user.ok_or_else(|| malformed(name, "it names no user"))?;
        if let Some(refused) = written.refused {
            return Err(refused);
        }
        // libpq: the database's name defaults to the user's.
        let database = written.database.unwrap_or_else(|| user.clone());
        let mut places = places(addresses.as_deref().or(hosts.as_deref()), ports.as_deref())
            .map_err(|reason| malformed(name, reason))?;
        if places.iter().any(|place| matches!(place.host, Host::Tcp(_)))
            && let Some(libpq) = libpq
        {
            tls::complete(&mut parameters, libpq).map_err(not_done)?;
        }
        let verified = tls::value(&parameters, "sslmode") == Some("verify-full");
        if verified && hosts.is_some() && addresses.is_some() {
            let what = "with hostaddr, sslmode=verify-full would compare the certificate with the address";
            return Err(not_done((what.into(), "leave out hostaddr".into())));
        }
        let not_known = parameters.iter().find_map(|(key, value)| {
            Some((format!("sqlx does not know {key}"), parameters::not_done(key, value, verified)?.to_owned()))
        });
        if let Some(refused) = not_known {
            return Err(not_done(refused));
        }
        let mut passfile_left_alone = None;
        if password.is_none()
            && let Some(path) = passfile_of(&parameters, libpq)
        {
            match passfile::read(&path) {
                Passfile::Text(text) => places.iter_mut().for_each(|place| place.look_up(&text, &database, &user)),
                Passfile::OpenToOthers => passfile_left_alone = Some(path),
                Passfile::Missing => {}
            }
        }
        for place in &mut places {
            place.password = place.password.take().or_else(|| password.clone().map(Secret));
        }
        let connect_timeout = tls::value(&parameters, "connect_timeout").and_then(seconds).unwrap_or(CONNECT_TIMEOUT);
        Ok(Self {
            name: name.to_owned(),
            places,
            chosen: Arc::default(),
            role,
            database,
            user,
            parameters,
            settings,
            protected: false,
            identity: None,
            journal: Arc::default(),
            complete: libpq.is_some(),
            passfile_left_alone,
            connect_timeout,
            pooler: None,
        })
    }
}

/// What stands in the words, each at its place. Of two values for one keyword, the later one counts.
#[derive(Default)]
struct Written {
    hosts: Option<String>,
    addresses: Option<String>,
    ports: Option<String>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    role: Role,
    parameters: Vec<(&'static str, String)>,
    settings: Vec<(String, String)>,
    /// The first parameter that is not taken.
    refused: Option<TargetError>,
}

impl Written {
    fn collect(name: &str, pairs: Pairs) -> Result<Self, TargetError> {
        let mut written = Self::default();
        let mut behind_password = false;
        for (key, value) in pairs {
            let is_password = key == "password";
            if !value.is_empty() || !is_known(&key) {
                written.take(name, &key, value, behind_password)?;
            }
            behind_password = is_password;
        }
        for (key, value) in &written.parameters {
            match *key {
                "sslmode" if value.parse::<PgSslMode>().is_err() => {
                    let reason = "its sslmode is none of disable, allow, prefer, require, verify-ca, verify-full";
                    return Err(malformed(name, reason));
                }
                parameters::STATEMENT_CACHE if value.parse::<usize>().is_err() => {
                    return Err(malformed(name, "its statement-cache-capacity is not a number"));
                }
                _ => {}
            }
        }
        Ok(written)
    }

    fn take(&mut self, name: &str, key: &str, value: String, behind_password: bool) -> Result<(), TargetError> {
        match key {
            "host" => self.hosts = Some(value),
            "hostaddr" => self.addresses = Some(value),
            "port" => self.ports = Some(value),
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "dbname" => self.database = Some(value),
            "target_session_attrs" => {
                let role = Role::parse(&value);
                self.role = role.ok_or_else(|| malformed(name, "its target_session_attrs is none of libpq's"))?;
            }
            "options" => self.settings.extend(parameters::read_options(&value).ok_or_else(|| {
                malformed(name, "its `options` are more than a list of -c NAME=VALUE and --NAME=VALUE")
            })?),
            // libpq's own shorthand in URLs.
            "ssl" if value == "true" => self.parameters.push(("sslmode", "require".into())),
            key => match (setting_of(key), parameters::look_up(key)) {
                (Some(setting), _) => self.settings.push((setting.to_owned(), value)),
                (_, Parameter::Keep(known)) => {
                    self.parameters.retain(|(other, _)| *other != known);
                    self.parameters.push((known, value));
                }
                (_, Parameter::LeaveOut) => {}
                (_, Parameter::NotTaken(known)) => {
                    let reason = format!("neither sqlx nor libpq could be given its parameter `{known}`");
                    self.refuse(malformed(name, &reason));
                }
                (_, Parameter::Unknown) => {
                    self.refuse(TargetError::UnknownParameter { name: name.to_owned(), behind_password });
                }
            },
        }
        Ok(())
    }

    fn refuse(&mut self, error: TargetError) {
        self.refused.get_or_insert(error);
    }
}

/// The words that say where a target is and who we are there; all others are parameters.
const WORDS: [&str; 7] = ["host", "hostaddr", "port", "user", "password", "dbname", "options"];

/// Whether a word may stand there without a value, as if it did not.
fn is_known(key: &str) -> bool {
    WORDS.contains(&key) || setting_of(key).is_some() || parameters::look_up(key) != Parameter::Unknown
}

/// The name in `options[NAME]`.
fn setting_of(key: &str) -> Option<&str> {
    key.strip_prefix("options[")?.strip_suffix(']')
}

fn malformed(name: &str, reason: &str) -> TargetError {
    TargetError::Malformed { name: name.to_owned(), reason: reason.to_owned() }
}

fn read(name: &str, text: &str) -> Result<Pairs, TargetError> {
    // What a file is read into a variable with ends in a line break.
    let text = text.trim();
    let read = if conninfo::is_url(text) { conninfo::read_url(text) } else { conninfo::read_keywords(text) };
    read.map_err(|reason| malformed(name, reason))
}

/// The password file that the target names, else the user's.
fn passfile_of(parameters: &Vec<(&'static str, String)>, libpq: Option<&Libpq>) -> Option<PathBuf> {
    let libpq = libpq?;
    tls::value(parameters, "passfile").map(PathBuf::from).or_else(|| libpq.passfile())
}

/// libpq's whole seconds: no less than two, and 0 waits for ever, which nothing here does.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: u64 = text.trim().parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds.max(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoded_parts_are_decoded() {
        let target = Target::from_url("t", "postgres://a%40b:p%2Bw+%3D@h/d%20b?sslmode=require").expect("parses");
        assert_eq!(target.user, "a@b");
        assert_eq!(target.password(), Some("p+w+="));
        assert_eq!(target.database, "d b");
        assert_eq!(target.address(), "a@b@h:5432/d b");
    }

    #[test]
    fn a_socket_folder_may_stand_in_the_host_or_in_a_parameter() {
        for url in ["postgres://me@%2Frun%2Fpg/d", "postgres://me@localhost/d?host=/run/pg"] {
            let target = Target::from_url("t", url).expect("parses");
            assert_eq!(target.host(), &Host::Socket("/run/pg".into()), "{url}");
        }
    }

    #[test]
    fn a_malformed_url_is_refused_without_showing_its_password() {
        for url in [
            "postgres://me:hunter2@host:notaport/db",
            "mysql://me:hunter2@h/db",
            "hunter2",
            "postgres://me:hunter2@h/db?sslmode=maybe",
            "postgres://me:1?hunter2@h/db",
            "postgres://me@h/db?sslpassword=hunter2",
            "postgres://me@h/db?password=s3c&hunter2=1",
            "postgres://me@h/db?password=s3c&hunter2",
            "postgres://me@h/db?password=s3c&hunter2=",
            "postgres://me@h/db?password=hunter2&",
            "postgres://me@h/db?password=hunter2&&sslmode=disable",
            "host=h user=me password=s3c hunter2=1",
        ] {
            let error = Target::from_url("t", url).expect_err("refused");
            assert!(!format!("{error} {error:?} {}", error.hint()).contains("hunter2"), "{error}");
        }
    }
}
