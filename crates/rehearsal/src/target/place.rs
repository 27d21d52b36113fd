//! Where a server is, and the password there.

use std::fmt;
use std::path::PathBuf;

use crate::postgres::passfile::{self, Wanted};

const DEFAULT_PORT: u16 = 5432;

/// A password. It has no `Display`, and its `Debug` tells nothing.
#[derive(Clone)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or an address.
    Tcp(String),
    /// The directory of a Unix socket.
    Socket(PathBuf),
}

/// One of the places where a target may be.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) password: Option<Secret>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Host::Tcp(host) => write!(f, "{host}:{}", self.port),
            Host::Socket(folder) => write!(f, "{}:{}", folder.display(), self.port),
        }
    }
}

impl Place {
    /// Takes the password that a password file has for it.
    pub(super) fn look_up(&mut self, passfile: &str, database: &str, user: &str) {
        let folder;
        let hosts: &[&str] = match &self.host {
            Host::Tcp(host) => &[host],
            // libpq knows a socket's folder by its path, and the usual one as `localhost`; sqlx all of them so.
            Host::Socket(path) => {
                folder = path.display().to_string();
                &[&folder, "localhost"]
            }
        };
        self.password = passfile::look_up(passfile, Wanted { hosts, port: self.port, database, user }).map(Secret);
    }
}

/// Hosts and ports are lists of the same length; one port may be for all.
pub(super) fn places(hosts: Option<&str>, ports: Option<&str>) -> Result<Vec<Place>, &'static str> {
    let hosts: Vec<&str> = hosts.unwrap_or_default().split(',').collect();
    let ports: Vec<&str> = ports.unwrap_or_default().split(',').collect();
    if ports.len() != 1 && ports.len() != hosts.len() {
        return Err("it does not name as many ports as hosts");
    }
    let place = |(index, host): (usize, &&str)| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or_default().trim();
        let port = if port.is_empty() { DEFAULT_PORT } else { port.parse().map_err(|_| "invalid port number")? };
        let host = match host.trim() {
            "" => Host::Tcp("localhost".into()),
            path if path.starts_with('/') => Host::Socket(path.into()),
            name => Host::Tcp(name.trim_matches(['[', ']']).to_owned()),
        };
        Ok(Place { host, port, password: None })
    };
    hosts.iter().enumerate().map(place).collect()
}
