//! Why a target cannot be had from what was written.

/// Why a database URL cannot be used. The URL itself is never repeated: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Not a URL.
    #[error("the database URL of target `{name}` does not parse: {reason}")]
    Malformed {
        /// The target.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A parameter that there is not. Its name is not repeated: it may be what follows a `&` in a password.
    #[error(
        "the database URL of target `{name}` holds a parameter that libpq does not know{}",
        if *behind_password { ", right behind the password" } else { "" }
    )]
    UnknownParameter {
        /// The target.
        name: String,
        /// It follows the password, of which it may be the rest.
        behind_password: bool,
    },
    /// It asks for what is not done here, or for what only one of sqlx and libpq could do.
    #[error("the database URL of target `{name}` asks for what cannot be done: {what}")]
    NotDone {
        /// The target.
        name: String,
        /// What.
        what: String,
        /// What to write instead.
        instead: String,
    },
    /// The service that it names cannot be used.
    #[error("the service that target `{name}` names cannot be used: {reason}")]
    Service {
        /// The target.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing says where the target is.
    #[error("target `{name}` has no database URL: {variable} is not set")]
    NoUrl {
        /// The target.
        name: String,
        /// The environment variable that was looked at.
        variable: String,
    },
    /// The configuration does not know it.
    #[error("there is no target `{name}`; rehearsal.toml knows: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

impl TargetError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Malformed { .. } => {
                "write it as postgres://user:password@host:5432/database, with special characters percent-encoded"
                    .into()
            }
            Self::UnknownParameter { behind_password: true, .. } => {
                "if it is the rest of the password, write its `&` as %26 (and `=` as %3D, `+` as %2B, `%` as %25)"
                    .into()
            }
            Self::UnknownParameter { .. } => {
                "write its parameters as libpq does (sslmode, options, connect_timeout …), and a `&` that is part of a \
                 value as %26"
                    .into()
            }
            Self::NotDone { instead, .. } => instead.clone(),
            Self::Service { .. } => {
                "write a section of that name into ~/.pg_service.conf, or name its file in PGSERVICEFILE".into()
            }
            Self::NoUrl { variable, .. } => {
                format!("set {variable}=postgres://user:password@host:5432/database")
            }
            Self::Unknown { name, .. } => {
                format!("add a [targets.{name}] table to rehearsal.toml, or name one of those")
            }
        }
    }
}
