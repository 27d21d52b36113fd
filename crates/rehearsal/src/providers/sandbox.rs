//! A throwaway server that runs.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::postgres::identifier::{literal, quote};
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::postgres::tools::Tools;
use crate::postgres::version::Version;
use crate::target::Target;

/// What ends a server. Dropping it ends the server as well, as far as a drop can.
#[async_trait]
pub trait Guard: Send + Sync {
    /// Ends the server and removes what it left.
    async fn remove(self: Box<Self>);

    /// Lets the server live on after this process, and tells how to get rid of it.
    ///
    /// # Errors
    /// When it cannot be kept; it is removed then.
    async fn keep(self: Box<Self>) -> Result<String>;
}

/// A throwaway server, its superuser, and the client programs that belong to it.
pub struct Sandbox {
    provider: &'static str,
    server: Target,
    version: Version,
    tools: Tools,
    guard: Option<Box<dyn Guard>>,
}

impl Sandbox {
    /// Takes a server into care. `server` is its superuser on its maintenance database.
    #[must_use]
    pub fn new(provider: &'static str, server: Target, version: Version, tools: Tools, guard: Box<dyn Guard>) -> Self {
        Self { provider, server, version, tools, guard: Some(guard) }
    }

    /// Which provider it came from.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.provider
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its own client programs, which fit it.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The superuser on one of its databases.
    #[must_use]
    pub fn database(&self, name: &str) -> Target {
        self.server.with_database(name)
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// The server's.
    pub async fn create_database(&self, name: &str, encoding: Option<&str>, cancel: &CancellationToken) -> Result<Target> {
        let mut session = Session::connect(&self.server, "sandbox", cancel).await?;
        let encoding = encoding.filter(|encoding| *encoding != "UTF8").map_or_else(String::new, |encoding| {
            format!(" ENCODING {} LOCALE 'C'", literal(encoding))
        });
        let sql = format!("CREATE DATABASE {} TEMPLATE template0{encoding}", quote(name));
        session.execute(&sql).await.map_err(Stopped::doing("create a database in the sandbox"))?;
        session.close().await;
        Ok(self.database(name))
    }

    /// Removes a database.
    ///
    /// # Errors
    /// The server's.
    pub async fn drop_database(&self, name: &str, cancel: &CancellationToken) -> Result<()> {
        let mut session = Session::connect(&self.server, "sandbox", cancel).await?;
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(name));
        session.execute(&sql).await.map_err(Stopped::doing("drop a database in the sandbox"))?;
        session.close().await;
        Ok(())
    }

    /// Makes the roles that a dump names; without rights to log in.
    ///
    /// # Errors
    /// The server's.
    pub async fn create_roles(&self, roles: &[String], cancel: &CancellationToken) -> Result<()> {
        let mut session = Session::connect(&self.server, "sandbox", cancel).await?;
        for role in roles {
            let sql = format!(
                "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {0}) THEN CREATE ROLE {1} NOLOGIN; END IF; END $$",
                literal(role), quote(role)
            );
            session.execute(&sql).await.map_err(Stopped::doing("create the target's roles in the sandbox"))?;
        }
        session.close().await;
        Ok(())
    }

    /// Ends it and removes what it left.
    pub async fn remove(mut self) {
        if let Some(guard) = self.guard.take() {
            guard.remove().await;
        }
    }

    /// Lets it live on, and tells how to get rid of it.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn keep(mut self) -> Result<String> {
        match self.guard.take() {
            Some(guard) => guard.keep().await,
            None => Ok(String::new()),
        }
    }
}
